"""The spool: a folder on local disk that holds a recording until the store has it.

Each recorder has a folder of its own in it (0700) and keeps its lock file locked while it
lives; a folder whose lock is free was abandoned, and whoever takes the lock may finish it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from jit.kernel.errors import DomainError

SUFFIX = ".rec"
LEAST_FREE = 64 * 1024 * 1024
"""Bytes that must be free for another recording to begin."""


class SpoolUnavailable(DomainError):
    """Nothing can be recorded on this machine now, so no session that must be may begin."""

    status = 503


class Spool:
    """One recorder's folder, locked for as long as this object keeps its descriptor."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    @classmethod
    def make(cls, root: Path) -> Spool:
        """Return a new folder in `root`, locked; raises SpoolUnavailable."""
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            hidden = root / f".{uuid.uuid4().hex}"
            hidden.mkdir(mode=0o700)
            lock = _take(hidden)
            # Seen by others only once it is locked: nobody takes a new folder for abandoned.
            folder = hidden.rename(root / hidden.name[1:])
        except OSError as refused:
            raise _unavailable(root, refused) from refused
        if lock is None:
            raise SpoolUnavailable(f"The spool {folder} is locked by another program: start again.")
        return cls(folder, lock)

    def create(self, session_id: uuid.UUID, preamble: bytes) -> int:
        """Return the descriptor of a new file that begins with `preamble`.

        Raises SpoolUnavailable when the disk is full or refuses.
        """
        path = self.path(session_id)
        try:
            self._must_have_room()
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError as refused:
            raise _unavailable(self.folder, refused) from refused
        try:
            write_all(descriptor, preamble)
        except OSError as refused:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise _unavailable(self.folder, refused) from refused
        return descriptor

    def path(self, session_id: uuid.UUID) -> Path:
        return self.folder / f"{session_id}{SUFFIX}"

    def recordings(self) -> list[uuid.UUID]:
        """Return whose recordings lie here, oldest first; other files are left alone."""
        found = [path.stem for path in sorted(self.folder.glob(f"*{SUFFIX}"))]
        return [uuid.UUID(stem) for stem in found if _is_uuid(stem)]

    def remove(self, session_id: uuid.UUID) -> None:
        self.path(session_id).unlink(missing_ok=True)

    def set_aside(self, session_id: uuid.UUID) -> Path:
        """Move a recording that can't be brought away out of everybody's way; return where to."""
        aside = self.folder.parent / "set-aside"
        aside.mkdir(mode=0o700, exist_ok=True)
        return self.path(session_id).rename(aside / f"{session_id}{SUFFIX}")

    def leave(self) -> None:
        """Let go of the folder, and delete it if nothing is left in it."""
        if not self.recordings():
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def _must_have_room(self) -> None:
        seen = os.statvfs(self.folder)
        if seen.f_bavail * seen.f_frsize < LEAST_FREE:
            raise OSError(28, "less than 64 MB are free")


def abandoned(root: Path) -> Iterator[Spool]:
    """Yield the spools in `root` whose recorder lives no more, each now locked by us."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if folder.name == "set-aside" or folder.name.startswith(".") or not folder.is_dir():
            continue
        lock = _take(folder)
        if lock is not None:
            yield Spool(folder, lock)


def give_back(root: Path) -> list[uuid.UUID]:
    """Put recordings that were set aside into a spool that nobody holds, for the next uploader
    to find; return whose they are.
    """
    again = Spool.make(root)
    aside = root / "set-aside"
    found = [path for path in sorted(aside.glob(f"*{SUFFIX}")) if _is_uuid(path.stem)]
    for path in found:
        path.rename(again.folder / path.name)
    again.leave()
    return [uuid.UUID(path.stem) for path in found]


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, or raise OSError: a disk that fills up writes a part without a word."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _take(folder: Path) -> int | None:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # Somebody finished and deleted it meanwhile.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _unavailable(folder: Path, refused: OSError) -> SpoolUnavailable:
    return SpoolUnavailable(
        f"Sessions can't be recorded here now: {folder}: {refused.strerror or refused}. "
        "Try again later; an operator must free or repair the gateway's spool disk."
    )

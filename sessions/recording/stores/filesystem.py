"""Recordings in a folder: one disk, or a share that all nodes mount."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from sessions.recording.stores.base import StoreFailed


class FileSystem:
    """Files of mode 0400 in folders of mode 0700, written whole or not at all."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root

    @property
    def root(self) -> Path:
        folder: Path = self._root or settings.RECORDINGS_FOLDER
        return folder

    def put(self, name: str, data: bytes, *, keep_until: dt.datetime | None) -> None:  # noqa: ARG002 -- a file system promises nothing
        path = self._path(name)
        with _told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o400)
                os.link(temporary, path)  # Unlike a rename it never replaces what is there.
            except FileExistsError:
                if path.read_bytes() != data:
                    raise StoreFailed(
                        f"{path} holds something else already", permanent=True
                    ) from None
            finally:
                Path(temporary).unlink(missing_ok=True)
            _sync_folder(path.parent)

    def names(self, folder: str) -> list[str]:
        with _told():
            path = self._path(folder)
            if not path.is_dir():
                return []
            return sorted(f"{folder}/{file.name}" for file in path.iterdir() if file.name[0] != ".")

    def get(self, name: str) -> bytes:
        with _told():
            return self._path(name).read_bytes()

    def delete(self, name: str) -> None:
        with _told():
            path = self._path(name)
            path.unlink(missing_ok=True)
            if path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()

    def _path(self, name: str) -> Path:
        return self.root / name


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        raise StoreFailed(f"{refused.filename}: {refused.strerror}") from refused


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

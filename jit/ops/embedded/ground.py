"""Where embedded servers may live, and as whom they run.

PostgreSQL refuses to run as root. Started by root we therefore run it as an unprivileged account
that exists already, with data in a folder of its own that this account can reach. Nobody's
permissions are ever loosened: what the account can't read is copied to where it can.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import random
import shutil
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CANDIDATES = ("postgres", "nobody")
_ROOT_HOMES = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 -- owner is checked
_FOLDER = "jit-embedded"
_NEVER_GIVEN_OUT = range(15_000, 32_000)
"""Below what Linux (from 32768) and others (from 49152) give to whoever asks for any port."""


class NoGround(Exception):
    """The servers can't be placed on this machine; the message says why and what would help."""


@dataclass(frozen=True)
class Account:
    """An unprivileged account of the system."""

    name: str
    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        """Return whether the account may pass through every folder down to `folder`."""
        return all(self._may(step, stat.S_IXUSR, stat.S_IXOTH) for step in _way_to(folder))

    def can_run(self, file: Path) -> bool:
        """Return whether the account may read and execute `file` where it stands."""
        return (
            self.can_enter(file.parent)
            and self._may(file, stat.S_IRUSR, stat.S_IROTH)
            and self._may(file, stat.S_IXUSR, stat.S_IXOTH)
        )

    def _may(self, path: Path, as_owner: int, as_other: int) -> bool:
        seen = path.stat()
        return bool(seen.st_mode & (as_owner if seen.st_uid == self.uid else as_other))


def _way_to(folder: Path) -> Iterator[Path]:
    resolved = folder.resolve()
    yield from reversed(resolved.parents)
    yield resolved


def account() -> Account | None:
    """Return whom servers run as: None (ourselves), or an unprivileged account if we are root.

    Raises NoGround if we are root and the system has no such account.
    """
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise NoGround(
        "PostgreSQL can't run as root and the system has no account "
        f"{' or '.join(_CANDIDATES)}: start this as an ordinary user instead"
    )


def _root_folder(runner: Account) -> Path:
    """Return root's own folder of embedded things, which `runner` can enter but not write."""
    for parent in _ROOT_HOMES:
        folder = parent / _FOLDER
        try:
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o755)  # Whatever the umask: the account must pass through.
            seen = folder.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != 0 or seen.st_mode & 0o022:
                continue  # Somebody else's folder by that name: never trust it.
            if runner.can_enter(folder) and os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise NoGround(
        f"none of {', '.join(str(home / _FOLDER) for home in _ROOT_HOMES)} can be used: "
        "start this as an ordinary user instead"
    )


def home(data: Path) -> Path:
    """Return the folder where the PostgreSQL clusters of the data folder `data` live.

    That is `data` itself, except for root: there it is a folder under /var/lib that is derived
    from the absolute path of `data`. Makes the folder; it belongs to whom the servers run as.
    """
    runner = account()
    if runner is None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return data
    digest = hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:16]
    folder = _root_folder(runner) / digest
    folder.mkdir(mode=0o700, exist_ok=True)
    os.chown(folder, runner.uid, runner.gid)
    return folder


def guests_home(data: Path, guest: Account | None) -> Path:
    """Return a folder of ours that `guest`, whom we start servers as, can read and not write.

    It is in `data`, except for root: there it is under /var/lib, beside the clusters' folder.
    """
    if guest is None:
        folder = data / "demo-host"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    digest = hashlib.sha256(str(data.absolute()).encode()).hexdigest()[:16]
    folder = _root_folder(guest) / f"{digest}-host"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # Whatever the umask: the account must pass through.
    return folder


def throw_away_home() -> Path:
    """Make and return a new folder for servers that live as long as a test run."""
    runner = account()
    if runner is None:
        return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}-"))
    folder = Path(tempfile.mkdtemp(prefix="throw-away-", dir=_root_folder(runner)))
    os.chown(folder, runner.uid, runner.gid)
    return folder


def runnable_copy(tree: Path, *, beside: Path, probe: str, label: str) -> Path:
    """Return `tree`, or a copy of it, where the unprivileged account can run `tree/probe`.

    `beside` is a sibling folder of libraries that must keep its place next to the tree. A copy is
    made once for each label (a name with a version) and belongs to root.
    """
    runner = account()
    if runner is None or runner.can_run(tree / probe):
        return tree
    place = _root_folder(runner) / label
    if not place.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix=".copying-", dir=place.parent))
        skip = shutil.ignore_patterns("include", "*.a", "doc", "__pycache__")
        shutil.copytree(tree, fresh / tree.name, ignore=skip, symlinks=True)
        if beside.is_dir():
            shutil.copytree(beside, fresh / beside.name, symlinks=True)
        fresh.chmod(0o755)
        for step in fresh.rglob("*"):
            if not step.is_symlink():
                step.chmod(0o755 if step.is_dir() or os.access(step, os.X_OK) else 0o644)
        try:
            fresh.rename(place)
        except OSError:  # Another start made it in the meantime.
            shutil.rmtree(fresh)
    return place / tree.name


def free_port(wanted: int = 0) -> int:
    """Return the loopback port `wanted` if it is free, else one that is.

    It is none of those that the system gives out by itself, to connections and to whoever asks
    for any: such a one may be gone before its server binds it. For the same reason it is given
    to no other process for a while.
    """
    chances = random.SystemRandom().sample(_NEVER_GIVEN_OUT, 100)
    for port in ([wanted] if wanted else []) + chances:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _claimed(port):
            return port
    raise NoGround("no loopback port is free")


_MOST_CLAIMS = 64
"""The oldest is let go then: its server has long been there, or never came."""
_claims: dict[int, int] = {}


def _claimed(port: int) -> bool:
    """Return whether the port is ours from here on, as far as users of `free_port` go.

    The claim is a name among Linux's abstract ones (unix(7)): it can't be had twice, and is gone
    with its process. Other systems go without. The descriptors stay open, hence `detach`.
    """
    if port in _claims or sys.platform != "linux":
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0jit-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim.detach()
    if len(_claims) > _MOST_CLAIMS:
        os.close(_claims.pop(next(iter(_claims))))
    return True

"""The gateway's spool is a small disk of its own, and it really fills up.

The kernel gives the gateway a mount that nobody else sees (user and mount namespaces, as
`unshare` makes them without being root); its files are reached through the gateway's process.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.processes import Running, until
from tests.support.visiting import grant, ssh

ROOT_ROLE = "web-1-root"
"""The demo's role whose policy says `record: required`."""
MEGABYTES = 80
TICKS = "while :; do date '+at %s.%N'; sleep 0.02; done"
_MOUNTED = 'mount -t tmpfs -o size=$1m,mode=700 tmpfs "$2" && shift 2 && exec "$@"'


@dataclass
class SmallDisk:
    """The spool of a gateway, as that gateway sees it."""

    folder: Path

    def fill(self) -> None:
        """Write until the disk takes no further byte."""
        ballast = os.open(self.folder / "ballast", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for size in (1024 * 1024, 4096, 1):
                while self._took(ballast, size):
                    pass
        finally:
            os.close(ballast)
        assert os.statvfs(self.folder).f_bavail == 0

    @staticmethod
    def _took(descriptor: int, size: int) -> bool:
        try:
            return os.write(descriptor, bytes(size)) == size
        except OSError as refused:
            if refused.errno != errno.ENOSPC:
                raise
            return False

    def make_room(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk(jit: Running) -> Iterator[SmallDisk]:
    """A gateway in the place of the usual one, on a disk of 80 MB."""
    spool = Path(jit.environment["JIT_DATA"]) / "spool"
    jit.stop("gateway")
    jit.add(
        "small-disk", "gateway",
        before=[
            "unshare", "--user", "--map-root-user", "--mount",
            "sh", "-c", _MOUNTED, "sh", str(MEGABYTES), str(spool),
        ],
    )  # fmt: skip
    try:
        seen = Path(f"/proc/{jit.pid('small-disk')}/root{spool}")
        # Where nobody may mount a disk of their own, the gateway's log says so.
        until(lambda: size_of(seen) == MEGABYTES * 1024 * 1024 and (seen / "ssh.lock").exists())
        yield SmallDisk(seen)
    finally:
        jit.stop("small-disk")
        jit.start("gateway")


def size_of(folder: Path) -> int:
    try:
        seen = os.statvfs(folder)
    except OSError:
        return 0  # Not yet, or not any more.
    return seen.f_blocks * seen.f_frsize


def said_by(person: subprocess.Popen[bytes]) -> str:
    """Return all that somebody's terminal still showed until it was closed."""
    assert person.stdout is not None
    said = person.stdout.read().decode()
    person.wait(20)
    person.stdout.close()
    return said


def figure(jit: Running, name: str) -> float:
    text = requests.get(f"{jit.url}/metrics", timeout=30).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


@pytest.mark.chaos
class TestFullDisk:
    def test_nobody_works_unrecorded_and_everybody_is_told(
        self, jit: Running, disk: SmallDisk, tmp_path: Path
    ):
        held = grant(jit, ROOT_ROLE, ("ada", "olga"))
        try:
            self.live_ones_end(jit, disk, held, tmp_path)
            self.new_ones_are_refused(jit, held, tmp_path)
            self.it_is_said(jit, held)
            self.new_ones_begin_when_there_is_room(jit, disk, held, tmp_path)
        finally:
            jit.give_back(held)

    @staticmethod
    def live_ones_end(jit: Running, disk: SmallDisk, held: str, folder: Path) -> None:
        person = ssh(jit, held, TICKS, folder)
        assert person.stdout is not None
        until(lambda: b"at " in os.read(person.stdout.fileno(), 4096))
        disk.fill()
        said = said_by(person)
        assert "This can't be recorded any more" in said
        assert "No space left on device" in said
        assert person.returncode == 254

    @staticmethod
    def new_ones_are_refused(jit: Running, held: str, folder: Path) -> None:
        refused = said_by(ssh(jit, held, "echo worked-unrecorded", folder, says="INFO"))
        assert "worked-unrecorded" not in refused
        assert "Sessions can't be recorded here now" in refused
        assert "free or repair the gateway's spool disk" in refused

    @staticmethod
    def it_is_said(jit: Running, held: str) -> None:
        """In the gateway's log, as a figure to ring by, and on the session's page."""
        log = jit.log("small-disk")
        assert re.search(r"critical.*is not recorded any more: .*No space left", log, re.IGNORECASE)
        until(lambda: figure(jit, "jit_recordings_failed") >= 1)
        (cut,) = until(lambda: ended(jit, held, "recorded any more"))
        found: Any = until(
            lambda: jit.udo.get(f"sessions/{cut}/").json(), lambda seen: seen["state"] == "SEALED"
        )
        assert found["closed_because"] == "terminated"
        recording = found["recording"]
        assert recording["standing"] == "incomplete"
        assert any("No space left on device" in each for each in recording["problems"])
        assert ended(jit, held, "can't be recorded here now")

    @staticmethod
    def new_ones_begin_when_there_is_room(
        jit: Running, disk: SmallDisk, held: str, folder: Path
    ) -> None:
        disk.make_room()
        assert "works-again" in said_by(ssh(jit, held, "echo works-again", folder))


def ended(jit: Running, held: str, because: str) -> list[str]:
    """Return the grant's closed sessions whose comment has these words."""
    rows = jit.udo.get("sessions/", limit="20").json()["items"]
    return [row["id"] for row in rows if row["grant"] == held and because in row["closed_comment"]]

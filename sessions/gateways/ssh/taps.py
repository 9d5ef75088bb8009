"""What is understood of a session's bytes as they pass: nothing of a shell's, the files of a
transfer's. Whatever is not understood goes on record as it came.
"""

from __future__ import annotations

import re
from typing import Protocol

from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.scp_tap import ScpTap
from sessions.gateways.ssh.sftp_tap import SftpTap

# What a terminal puts round what is pasted, if a line editor asked for it: the ends of its lines
# enter nothing.
_PASTES, _PASTED = b"\x1b[200~", b"\x1b[201~"
_PASTE = re.compile(rb"(\x1b\[20[01]~)")
_LINE_END = re.compile(rb"\r\n?|\n")


class Tap(Protocol):
    """Hears both ways, before what it hears is passed on; `finish` once, at the end."""

    def from_person(self, data: bytes) -> None: ...

    def from_host(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


class Program:
    """Understands nothing: what the host says was shown, what it is told was fed to a program."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def from_person(self, data: bytes) -> None:
        self._notes.fed(data)

    def from_host(self, data: bytes) -> None:
        self._notes.shown(data)

    def finish(self) -> None:
        """Nothing is held back."""


class Terminal(Program):
    """A program on a terminal: of what is typed only the ends of lines are marked, without what
    is on them, since passwords are among it.
    """

    _pasting = False

    def from_person(self, data: bytes) -> None:
        lines = 0
        for part in _PASTE.split(data):
            if part in {_PASTES, _PASTED}:
                self._pasting = part == _PASTES
            elif not self._pasting:
                lines += len(_LINE_END.findall(part))
        if lines:
            self._notes.mark({"kind": "entered", "lines": lines})


def tap_for(asked: Asked, notes: Notes) -> Tap:
    """Return what listens in on what was asked for."""
    if asked.size is not None:
        return Terminal(notes)
    if asked.is_sftp:
        return SftpTap(notes)
    if (scp := asked.old_scp) is not None:
        return ScpTap(notes, scp)
    return Program(notes)

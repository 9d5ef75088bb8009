"""What is understood of a session's bytes as they pass: nothing of a shell's, the files of a
transfer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.scp_tap import ScpTap
from sessions.gateways.ssh.sftp_tap import SftpTap


class Notes(Protocol):
    """Where facts go: a tape."""

    def mark(self, fact: Mapping[str, Any]) -> None: ...


class Tap(Protocol):
    """`from_host` returns whether what it was given is text that the person sees."""

    def from_person(self, data: bytes) -> None: ...

    def from_host(self, data: bytes) -> bool: ...

    def finish(self) -> None: ...


class Plain:
    """Understands nothing; all that the host says is output."""

    def from_person(self, data: bytes) -> None: ...

    def from_host(self, data: bytes) -> bool:  # noqa: ARG002 -- a Tap's signature
        return True

    def finish(self) -> None: ...


def tap_for(asked: Asked, notes: Notes) -> Tap:
    """Return what listens in on what was asked for."""
    if asked.is_sftp:
        return SftpTap(notes)
    if asked.is_scp:
        return ScpTap(notes, person_sends="t" in _options(asked.command))
    return Plain()


def _options(command: str) -> set[str]:
    return {letter for word in command.split()[1:-1] if word.startswith("-") for letter in word}

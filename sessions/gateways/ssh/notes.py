"""Where what passes through a session is written: facts, what was shown, what was fed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sessions.gateways.ssh.standard_input import StandardInput


class Tape(Protocol):
    def mark(self, fact: Mapping[str, Any]) -> None: ...

    def output(self, data: bytes, *, errors: bool = False) -> None: ...


class Notes:
    """A tape, and what is known of the program's standard input."""

    def __init__(self, tape: Tape, fed: StandardInput) -> None:
        self._tape = tape
        self.mark = tape.mark
        self.fed = fed.take

    def shown(self, data: bytes) -> None:
        if data:
            self._tape.output(data)

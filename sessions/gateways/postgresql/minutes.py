"""The minutes of a session: each statement as a fact, and as lines to be replayed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sessions.gateways.postgresql import rendering
from sessions.gateways.postgresql.asked import Asked
from sessions.gateways.postgresql.parts import Tape

LONGEST_FACT = 65_536
"""Characters of a statement in its fact; what is shown has all of it."""


class Minutes:
    """Writes onto the tape. `rows` and `row_bytes` count what the present statement gave or
    took, `copies` says in which direction it copies, `status` is the transaction's (I, T or E).
    """

    def __init__(self, tape: Tape | None, *, database: str) -> None:
        self.tape = tape
        self.rows = 0
        self.row_bytes = 0
        self.copies = ""
        self.status = "I"
        self.written = 0
        """Bytes given to the tape, for the relay's sense of how much is under way."""
        self._database = database
        self._last_answer = 0.0

    def said(self, sentence: str) -> None:
        """Write down what the gateway itself tells the person."""
        self.mark({"kind": "notice", "text": sentence})
        self.output(rendering.notice(sentence))

    def show(self, shown: str, parameters: Sequence[str | None] = (), note: str = "") -> None:
        """Write the lines of a statement that is about to be passed on."""
        if self.tape:
            self.output(rendering.asked(self._database, self.status, shown, parameters, note))

    def fact(self, entry: Asked, text: str, *, tag: str = "", error: str = "") -> None:
        """Write how a statement went, and start counting anew."""
        now = time.monotonic()
        milliseconds = round(1000 * (now - max(entry.at, self._last_answer)), 3)
        self._last_answer = now
        if self.tape:
            fact: dict[str, Any] = {"kind": "statement", "text": text[:LONGEST_FACT]}
            if len(text) > LONGEST_FACT:
                fact["text_length"] = len(text)
            fact |= _particulars(entry)
            if self.copies:
                fact["copy"] = self.copies
            rows = _count(tag) if self.copies else self.rows or _count(tag)
            fact |= {"tag": tag, "rows": rows, "bytes": self.row_bytes}
            fact |= {"ms": milliseconds, "error": error}
            self.mark(fact)
            lines = rendering.failed(error) if error else rendering.answered(tag, milliseconds)
            self.output(lines)
        self.start_counting()

    def start_counting(self) -> None:
        self.rows = self.row_bytes = 0
        self.copies = ""

    def mark(self, fact: dict[str, Any]) -> None:
        if self.tape:
            self.written += 300 + len(fact.get("text", ""))
            self.tape.mark(fact)

    def output(self, lines: bytes) -> None:
        if self.tape:
            self.written += len(lines)
            self.tape.output(lines)


def _particulars(entry: Asked) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if entry.parameters:
        told["parameters"] = entry.parameters
    if entry.parameters_cut:
        told["parameters_cut"] = True
    if entry.prepared and entry.prepared.name:
        told["prepared"] = entry.prepared.name
    if entry.portal:
        told["portal"] = entry.portal
    return told


def _count(tag: str) -> int:
    """Return the rows that a command's tag names: INSERT 0 5, UPDATE 5, COPY 5."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0

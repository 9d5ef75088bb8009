"""The log of a database session: each statement as a fact, and as lines to be replayed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.observing import rendering

LONGEST_FACT = 65_536
"""Characters of a statement in its fact; what is shown has all of it."""


class LoggedStatement(Protocol):
    """A statement, as its gateway's protocol knows it. It was asked `at` this time by
    `time.monotonic`; `prepared_name` and `portal` are empty where it has none.
    """

    @property
    def at(self) -> float: ...
    @property
    def parameters(self) -> list[str | None]: ...
    @property
    def parameters_cut(self) -> bool: ...
    @property
    def prepared_name(self) -> str: ...
    @property
    def portal(self) -> str: ...


class StatementLog:
    """Writes onto the recording. `rows` and `row_bytes` count what the present statement gave or
    took, `copies` says in which direction it copies, `status` is the transaction's (I, T or E).
    """

    def __init__(self, recording: RecordingSink | None, *, database: str) -> None:
        self.recording = recording
        self.rows = 0
        self.row_bytes = 0
        self.copies = ""
        self.status = "I"
        self.written = 0
        """Bytes given to the recording, for the relay's sense of how much is under way."""
        self._database = database
        self._last_answer = 0.0

    def notice(self, sentence: str) -> None:
        """Write down what the gateway itself tells the person."""
        self.mark({"kind": "notice", "text": sentence})
        self.output(rendering.notice(sentence))

    def show(self, shown: str, parameters: Sequence[str | None] = (), note: str = "") -> None:
        """Write the lines of a statement that is about to be passed on."""
        if self.recording:
            self.output(rendering.statement(self._database, self.status, shown, parameters, note))

    def fact(self, entry: LoggedStatement, text: str, *, tag: str = "", error: str = "") -> None:
        """Write how a statement went, and start counting anew."""
        now = time.monotonic()
        milliseconds = round(1000 * (now - max(entry.at, self._last_answer)), 3)
        self._last_answer = now
        if self.recording:
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
            lines = rendering.failed(error) if error else rendering.completed(tag, milliseconds)
            self.output(lines)
        self.start_counting()

    def start_counting(self) -> None:
        self.rows = self.row_bytes = 0
        self.copies = ""

    def mark(self, fact: dict[str, Any]) -> None:
        if self.recording:
            self.written += 300 + len(fact.get("text", ""))
            self.recording.mark(fact)

    def output(self, lines: bytes) -> None:
        if self.recording:
            self.written += len(lines)
            self.recording.output(lines)


def _particulars(entry: LoggedStatement) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if entry.parameters:
        told["parameters"] = entry.parameters
    if entry.parameters_cut:
        told["parameters_cut"] = True
    if entry.prepared_name:
        told["prepared"] = entry.prepared_name
    if entry.portal:
        told["portal"] = entry.portal
    return told


def _count(tag: str) -> int:
    """Return the rows that a command's tag names: INSERT 0 5, UPDATE 5, COPY 5."""
    last = tag.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0

"""Turns a recording's events into lines and commands, going on where it stopped before.

What a command without a terminal sends that is no text (rsync, tar, git) is counted, as files are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sessions.recording.asciicast import Event
from sessions.recording.screen import EMPTIED, SWITCH
from sessions.recording.transcript import commands, grid
from sessions.recording.transcript.guessing import EDITS, Guesser
from sessions.recording.transcript.line import EDITING, GAP, MOST_ROWS, UNFINISHED, rows, with_gaps

LONGEST_LINE = 2_000
"""Characters of one row; a longer line becomes several."""
_LONGEST_PARTIAL = 64 * 1024
_SCREENFUL = 16 * 1024
_LONGEST_DRAWING = 16 * 1024
_SAMPLE = 4096
_MOST_NO_TEXT = 0.15
_NO_TEXT = re.compile(r"[\ufffd\x00-\x06\x0e-\x1a\x1c-\x1f]")
_NEXT = re.compile(rf"\n|\x1b\[\{EDITING}h")
_LEAVES = re.compile(rf"\x1b\[\{EDITING}l")
_OSC = re.compile(r"\x1b\](133;[^\x07\x1b]*|633;[^\x07\x1b]*)(?:\x07|\x1b\\)")


@dataclass(frozen=True, slots=True)
class Line:
    at_ms: int
    text: str


class Stripper:
    """Remembers the unfinished line, the screen of a full-screen program, and the shell's marks."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self._partial: str = given.get("partial", "")
        self._at: int = given.get("at", 0)
        self._carry: str = given.get("carry", "")
        self._screen: str | None = given.get("screen")
        self._last: str = given.get("last", "")
        self._marks = commands.Marks(given.get("marks"))
        self._guesser = Guesser(given.get("guesser"))
        self._without_terminal: bool = given.get("without_terminal", False)
        self._binary: int = given.get("binary", 0)
        self._width: int = given.get("width", 0)
        self._editing: bool = given.get("editing", False)
        """Whether a line editor draws: its rows are one drawing until it lets go."""
        self.facts_only: bool = given.get("facts_only", False)
        """Whether there are lines enough: what is shown is passed over, facts are not."""

    def state(self) -> dict[str, Any]:
        """Return what a later one needs to go on, as JSON."""
        return {
            "partial": _storable(self._partial),
            "carry": _storable(self._carry),
            "at": self._at,
            "screen": None if self._screen is None else _storable(self._screen),
            "last": self._last,
            "marks": self._marks.state(),
            "guesser": self._guesser.state(),
            "without_terminal": self._without_terminal,
            "binary": self._binary,
            "width": self._width,
            "editing": self._editing,
            "facts_only": self.facts_only,
        }

    def take(self, events: Iterable[Event]) -> Iterator[Line | commands.Found]:
        """Yield lines and commands as they are complete."""
        for event in events:
            if event.code == "o":
                yield from self._shown(event)
            elif event.code == "m":
                fact = event.fact()
                # A terminal's size, if there is one, comes after what was asked for.
                self._without_terminal |= fact.get("tier") == "protocol"
                found = commands.of_fact(event.at // 1000, fact)
                if found:
                    yield found
                yield from self._entered(event.at // 1000, fact)
            elif event.code == "r":
                self._without_terminal = False
                columns = event.text.partition("x")[0]
                self._width = int(columns) if columns.isdigit() else 0

    def end(self) -> Iterator[Line | commands.Found]:
        """Yield what was not finished when the recording ended."""
        yield from self._leave_screen(self._at)
        yield from self._flush()
        if self._binary:
            yield Line(self._at, f"[{self._binary:,} characters of output that are no text]")

    def _shown(self, event: Event) -> Iterator[Line | commands.Found]:
        if self.facts_only:
            return
        if self._without_terminal and is_binary(event.text):
            self._at = event.at // 1000
            self._binary += len(event.text)
            return
        yield from self._output(event.at // 1000, event.text)

    def _output(self, at: int, text: str) -> Iterator[Line | commands.Found]:
        text, self._carry = self._carry + text, ""
        if "\x1b" in text:
            unfinished = UNFINISHED.search(text)
            if unfinished:
                text, self._carry = text[: unfinished.start()], unfinished.group()
            last = 0
            for switch in SWITCH.finditer(text):
                yield from self._plain(at, text[last : switch.start()])
                last = switch.end()
                yield from self._switch(at, to_alternate=switch[1] == "h")
            text = text[last:]
        yield from self._plain(at, text)

    def _switch(self, at: int, *, to_alternate: bool) -> Iterator[Line | commands.Found]:
        if to_alternate:
            yield from self._flush()
            self._screen = self._screen or ""
        else:
            yield from self._leave_screen(at)

    def _plain(self, at: int, text: str) -> Iterator[Line | commands.Found]:
        """Take text in which the screen is not switched."""
        if self._screen is not None:
            self._draw(text)
            return
        self._notice_wait(at)
        while text:
            if not self._partial:
                self._at = at
            stop = (_LEAVES if self._editing else _NEXT).search(text)
            self._partial += text[: stop.end() if stop else None]
            text = text[stop.end() :] if stop else ""
            if self._editing and (stop or self._is_no_drawing(self._partial)):
                yield from self._drawn(at)
            elif stop and stop.group() == "\n":
                self._partial = self._partial[:-1]
                yield from self._flush(ended=True, at=at)
                self._at = at
            elif stop:
                self._editing = self._width > 0
        if len(self._partial) > _LONGEST_PARTIAL:
            yield from self._flush()

    @staticmethod
    def _is_no_drawing(text: str) -> bool:
        """Return whether it is more than a line editor draws: the program let go without a word."""
        return len(text) > _LONGEST_DRAWING or text.count("\n") >= MOST_ROWS

    def _notice_wait(self, at: int) -> None:
        if self._guesser.waits(at):
            self._guesser.waited(self._rows()[-1])

    def _rows(self) -> list[str]:
        """Return what is drawn and not complete, down to the cursor's row."""
        if not self._editing:
            return [with_gaps(self._partial, self._width)]
        found, cursor = rows(self._partial, self._width)
        return found[: cursor + 1]

    def _drawn(self, at: int) -> Iterator[Line | commands.Found]:
        """Take what a line editor has drawn once it lets go: the line is entered or given up."""
        self._editing = False
        drawing, self._partial = self._partial, ""
        if self._is_no_drawing(drawing):
            *whole, self._partial = drawing.split("\n")
            for line in whole:
                yield from self._line(self._at, line, ended=True, ended_at=at)
            return
        yield from self._marked(self._at, drawing)
        found, cursor = rows(drawing, self._width)
        if self._guesser.marked and not self._marks.seen:
            for each in self._guesser.drawn(found[: cursor + 1], at=at):
                yield commands.guess(*each)
        for row in found:
            yield from self._read(self._at, row.replace(GAP, " "))

    def _draw(self, text: str) -> None:
        screen = (self._screen or "") + text
        emptied = max((found.start() for found in EMPTIED.finditer(screen)), default=0)
        self._screen = screen[max(emptied, len(screen) - _SCREENFUL) :]

    def _flush(self, *, ended: bool = False, at: int = 0) -> Iterator[Line | commands.Found]:
        if self._editing:
            yield from self._drawn(at)
        partial, self._partial = self._partial, ""
        yield from self._line(self._at, partial, ended=ended, ended_at=at)

    def _line(
        self, at: int, line: str, *, ended: bool, ended_at: int
    ) -> Iterator[Line | commands.Found]:
        yield from self._marked(at, line)
        if ended:
            self._marks.text("\n")
        shown = with_gaps(line, self._width) if line else ""
        text = shown.replace(GAP, " ").rstrip()
        if ended and self._guesser.marked and not self._marks.seen:
            for each in self._guesser.line(shown, edited=EDITS in line, at=ended_at):
                yield commands.guess(*each)
        yield from self._read(at, text)

    def _read(self, at: int, text: str) -> Iterator[Line | commands.Found]:
        """Take a line as a person read it."""
        if not text or text == self._last:
            return
        self._last = text[:LONGEST_LINE]
        for start in range(0, len(text), LONGEST_LINE):
            yield Line(at, text[start : start + LONGEST_LINE])
        if not (self._marks.seen or self._guesser.marked):
            guess = commands.guessed(at, text)
            if guess:
                yield guess

    def _entered(self, at: int, fact: Mapping[str, Any]) -> Iterator[commands.Found]:
        """Hear that the person ended lines, if this fact says so."""
        if fact.get("entered") == "marked":
            self._guesser.marked = True
        if fact.get("kind") != "entered" or self._marks.seen:
            return
        if self._screen is None:
            self._notice_wait(at)
            shown = self._guesser.last_prompt(self._rows())
            self._guesser.entered(int(fact.get("lines") or 1), shown)
        elif guess := commands.guessed(at, grid.cursor_line(self._screen)):
            yield guess

    def _marked(self, at: int, line: str) -> Iterator[commands.Found]:
        last = 0
        if "\x1b]" in line:
            for mark in _OSC.finditer(line):
                self._marks.text(line[last : mark.start()])
                last = mark.end()
                found = self._marks.mark(at, mark[1])
                if found:
                    yield found
        self._marks.text(line[last:])

    def _leave_screen(self, at: int) -> Iterator[Line]:
        screen, self._screen = self._screen, None
        for row in grid.last_screen(screen or ""):
            for start in range(0, len(row), LONGEST_LINE):
                yield Line(at, row[start : start + LONGEST_LINE])


def is_binary(text: str) -> bool:
    """Return whether so much of the text is no character, or a control character without meaning
    for a terminal, that nobody could read or search for it.
    """
    sample = text[:_SAMPLE]
    return len(_NO_TEXT.findall(sample)) > len(sample) * _MOST_NO_TEXT


def _storable(text: str) -> str:
    """JSON columns of PostgreSQL take every character but NUL."""
    return text.replace("\0", "")

"""A terminal as those draw it who look at a recording: a size that can be drawn, lines that
begin at the left.

What a client says of its terminal goes to the host as it is, but never unbounded to a browser:
`ssh -tt` from a pipe says 0x0, and 9000x9000 keeps a page from ever answering.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sessions.recording.asciicast import Event

SMALLEST, MOST_COLUMNS, MOST_ROWS = 2, 1000, 300
"""What a terminal can have. A browser draws each row by itself: 1,000 take it half a minute."""
COLUMNS, ROWS = 80, 24
"""What a terminal has that says nothing of its size."""
_SIZE = re.compile(r"([0-9]{1,10})x([0-9]{1,10})")
_BARE = re.compile(r"(?<!\r)\n")


def usable(columns: int, rows: int) -> tuple[int, int]:
    """Return a size that can be drawn: the usual one for none, else the nearest."""
    return _bounded(columns, COLUMNS, MOST_COLUMNS), _bounded(rows, ROWS, MOST_ROWS)


def usable_text(size: str) -> str:
    """Return the text of a resize (`100x30`) that can be drawn."""
    found = _SIZE.fullmatch(size)
    columns, rows = usable(int(found[1]), int(found[2])) if found else (COLUMNS, ROWS)
    return f"{columns}x{rows}"


def usable_header(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recording's header with a size that can be drawn."""
    term = header.get("term") or {}
    columns, rows = usable(_number(term.get("cols")), _number(term.get("rows")))
    return {**header, "term": {**term, "cols": columns, "rows": rows}}


class Screen:
    """Makes of each event what a player can draw. Without a terminal, lines ended without going
    back to the left, which the client's own terminal did: then the ends of lines are completed.
    """

    def __init__(self, *, has_terminal: bool = False) -> None:
        self._has_terminal = has_terminal
        self._after_return = False

    def event(self, event: Event) -> Event:
        if event.code == "r":
            self._has_terminal = True
            return Event(event.at, "r", usable_text(event.text))
        if event.code == "o":
            return Event(event.at, "o", self.output(event.text))
        return event

    def output(self, text: str) -> str:
        """Return what a player is to be sent of this output."""
        if self._has_terminal or not text:
            return text
        told = _BARE.sub("\r\n", text)
        if self._after_return and text[0] == "\n":
            told = told[1:]
        self._after_return = text[-1] == "\r"
        return told


def on_a_screen(events: Iterable[Event]) -> Iterator[Event]:
    """Yield a recording's events, from its first on, as a player can draw them."""
    screen = Screen()
    for event in events:
        if not is_of_typing(event):
            yield screen.event(event)


def is_of_typing(event: Event) -> bool:
    """Return whether the event only says that a line was entered, which no player shows."""
    return event.code == "m" and event.fact().get("kind") == "entered"


def _bounded(number: int, usual: int, most: int) -> int:
    return min(max(number, SMALLEST), most) if number > 0 else usual


def _number(given: Any) -> int:
    return given if isinstance(given, int) else 0

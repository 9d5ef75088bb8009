"""A recording as a player gets it: nothing of what was typed, and facts in people's words.

A browser keeps what it plays in memory, so a long recording comes in parts: each begins with what
draws the screen as it was then, and says where the next one goes on.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any

from sessions.recording import asciicast, screen, terminal
from sessions.recording.asciicast import Event

LONGEST_LABEL = 100
PART = 8 * 1024 * 1024
"""Bytes of lines after which a part ends."""
CONTINUES = "# continues at "
"""How a part that is not the last one ends (a comment, in asciicast v3), with the second."""
_JOINED = 64 * 1024


def for_player(events: Iterable[Event]) -> Iterator[Event]:
    """Yield what a player shows: output, sizes, the end, and markers with a readable label; all
    as it can be drawn.

    Keystrokes are left out even where they were recorded: passwords are among them.
    """
    for event in terminal.on_a_screen(events):
        if event.code == "m":
            yield Event(event.at, "m", label(event.fact()))
        elif event.code != "i":
            yield event


def marked(events: Iterable[Event], marks: Iterable[Event]) -> Iterator[Event]:
    """Yield the events with more marks among them, both in the order of their times."""
    return heapq.merge(events, marks, key=attrgetter("at"))


def label(fact: Mapping[str, Any]) -> str:
    """Return a fact in a few words: `$ ls`, `upload /etc/passwd`, `notice: …`."""
    kind, text = str(fact.get("kind", "")), str(fact.get("text", ""))
    words = {
        "command": f"$ {text}",
        "statement": text,
        "file": f"{fact.get('op', 'file')} {fact.get('path', '')}",
        "forward": f"forward to {fact.get('to', '')}",
        "opened": f"opened: {fact.get('what', '')}",
        "stdin": f"fed: {text}" if text else f"fed {fact.get('bytes', 0)} bytes",
        "cancel": "cancelled",
    }.get(kind, f"{kind}: {text}" if text else kind)
    line = " ".join(f"{'refused: ' if fact.get('refused') else ''}{words}".split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1]}…"


def part(
    header: Mapping[str, Any], events: Iterable[Event], *, start: int = 0, most: int = PART
) -> Iterator[bytes]:
    """Yield the asciicast v3 lines of what is shown from `start` (microseconds) on, its times
    from there; the last line says where the next part begins, if there is more.

    Never more than a few megabytes are in memory, however long the recording is.
    """
    before, coming = _Before(header), iter(events)
    following = next((event for event in coming if not before.takes(event, start)), None)
    yield asciicast.header_line(before.header())
    if start:
        yield asciicast.event_line(0, "o", before.screen())
    sent, last = 0, start
    while following is not None:
        if sent >= most and following.at > last:
            yield f"{CONTINUES}{asciicast.seconds(following.at)}\n".encode()
            return
        line = asciicast.event_line(max(following.at - last, 0), following.code, following.text)
        sent, last = sent + len(line), max(last, following.at)
        yield line
        following = next(coming, None)


class _Before:
    """What was shown before a part, as far as it matters for the screen at its beginning."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        self._header = terminal.usable_header(header)
        self._size = ""
        self._kept: deque[str] = deque()
        self._length = 0
        self._joining: list[str] = []
        self._joined = 0

    def takes(self, event: Event, start: int) -> bool:
        """Take the event if it is from before `start`, or return False."""
        if event.at >= start:
            return False
        if event.code == "r":
            self._size = event.text
        elif event.code == "o":
            self._joining.append(event.text)
            self._joined += len(event.text)
            if self._joined >= _JOINED:
                self._join()
        return True

    def header(self) -> Mapping[str, Any]:
        """Return the header, with the terminal's size as it was then."""
        cols, _, rows = self._size.partition("x")
        if not (cols.isdecimal() and rows.isdecimal()):
            return self._header
        term = {**(self._header.get("term") or {}), "cols": int(cols), "rows": int(rows)}
        return {**self._header, "term": term}

    def screen(self) -> str:
        self._join()
        pieces = ([Event(0, "o", text)] for text in reversed(self._kept))
        return screen.snapshot(pieces).text

    def _join(self) -> None:
        self._kept.append("".join(self._joining))
        self._length += self._joined
        self._joining, self._joined = [], 0
        while self._length - len(self._kept[0]) > screen.FARTHEST:
            self._length -= len(self._kept.popleft())

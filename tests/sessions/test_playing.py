"""A recording in parts: nothing twice, nothing left out, each right from its first moment."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from sessions import playing
from sessions.recording.asciicast import Event

HEADER = {"term": {"cols": 80, "rows": 24}}
SECOND = 1_000_000
MEGABYTE = 1024 * 1024


def shown(count: int, size: int = 100) -> Iterator[Event]:
    """Yield one line of output a second, each with its number."""
    for number in range(count):
        yield Event(number * SECOND, "o", f"{number:08d} {'x' * size}\r\n")


def lines_of(part: Iterator[bytes]) -> tuple[list[Any], int | None]:
    """Return the events of a part, and where the next one begins (microseconds)."""
    found = [line.decode() for line in part]
    following = None
    if found[-1].startswith(playing.CONTINUES):
        following = round(float(found.pop().removeprefix(playing.CONTINUES)) * SECOND)
    return [json.loads(line) for line in found], following


class TestPart:
    def test_is_all_of_a_short_recording(self) -> None:
        found, following = lines_of(playing.part(HEADER, shown(3)))
        assert following is None
        assert [event[2][:8] for event in found[1:]] == ["00000000", "00000001", "00000002"]

    def test_goes_on_where_the_one_before_ended(self) -> None:
        seen: list[str] = []
        start: int | None = 0
        parts = 0
        while start is not None:
            found, following = lines_of(playing.part(HEADER, shown(1000), start=start, most=10_000))
            at = start
            for interval, code, text in found[1 if not start else 2 :]:
                at += round(interval * SECOND)
                assert (code, int(text[:8]) * SECOND) == ("o", at)
                seen.append(text[:8])
            start = following
            parts += 1
        assert parts > 5
        assert seen == [f"{number:08d}" for number in range(1000)]

    def test_begins_with_the_screen_and_the_size_as_they_were(self) -> None:
        events = [
            Event(0, "o", "long gone\r\n"),
            Event(1, "o", "\x1b[H\x1b[2Jstill there\r\n"),
            Event(2, "r", "120x40"),
            Event(5 * SECOND, "o", "now\r\n"),
        ]
        found, _ = lines_of(playing.part(HEADER, events, start=4 * SECOND))
        header, screen, now = found
        assert header["term"] == {"cols": 120, "rows": 40}
        assert screen[:2] == [0, "o"]
        assert "still there" in screen[2]
        assert "long gone" not in screen[2]
        assert now == [1, "o", "now\r\n"]

    def test_cuts_no_moment_in_two(self) -> None:
        events = [Event(SECOND, "o", "x" * 1000) for _ in range(50)]
        found, following = lines_of(playing.part(HEADER, events, most=5_000))
        assert following is None
        assert len(found) == 51

    def test_beyond_the_end_is_the_last_screen(self) -> None:
        found, following = lines_of(playing.part(HEADER, shown(3), start=99 * SECOND))
        assert following is None
        assert "00000002" in found[1][2]
        assert len(found) == 2

    @pytest.mark.parametrize("start", [0, 60_000 * SECOND], ids=["first", "last"])
    def test_of_a_huge_recording_needs_little_memory(self, start: int) -> None:
        """70 MB were shown; what a request holds of them at once does not grow with them."""
        tracemalloc.start()
        try:
            sent = sum(
                len(line) for line in playing.part(HEADER, shown(70_000, 1_000), start=start)
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sent < playing.PART + MEGABYTE + playing.screen.LONGEST * 2
        assert peak < 24 * MEGABYTE

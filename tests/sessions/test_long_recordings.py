"""A recording far over 50 MB: whoever reads it holds a few megabytes of it at a time."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions import playing, recordings
from sessions.models import AccessSession
from sessions.recording import exporting, store_reader
from sessions.recording.stores.filesystem import FileSystem
from sessions.recording.transcript import indexing
from tests.sessions import used
from tests.sessions.own_store import gateway, where
from tests.sessions.recording.gateway import FakeGateway, recording

__all__ = ["gateway", "where"]
pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024
SHOWN = 72
"""Megabytes of output."""
MOST = (SHOWN - 4) * MEGABYTE
"""Bytes that the process may grow by: less than the text of it alone, and half of what a list of
it would take. Some 60 are the allocator's own and those of one object of the store, unfolded.
"""


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    """A sealed session of a person who looked at a very long log."""

    async def act(tape: Any) -> None:
        for number in range(SHOWN * 16):
            line = f"{number:08d} the quick brown fox jumps over the lazy dog {'.' * 40}\r\n"
            tape.output(line.encode() * (65_536 // len(line)))
            await tape.room()
        await tape.close()

    made = gateway.session()
    asyncio.run(act(gateway.tape(made)))
    used.closed(made)
    gateway.move()
    made.refresh_from_db()
    assert made.state == "SEALED"
    return made


def peak_of(read: Callable[[], Any]) -> int:
    """Return how many bytes more than before this process held at the most, by its kernel
    (proc_pid_clear_refs(5), value 5, begins the measurement anew).
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = held("VmRSS")
    read()
    return held("VmHWM") - before


def held(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def size_of(lines: Iterator[bytes]) -> int:
    return sum(map(len, lines))


class TestMemory:
    def test_stays_bounded_however_it_is_read(
        self, session: AccessSession, where: FileSystem
    ) -> None:
        row = recording(session)
        sent = {}

        def take_away() -> None:
            header, events = recordings.read(row)
            sent["whole"] = size_of(exporting.v3(header, events))

        def play_its_end() -> None:
            header, events = recordings.read(row)
            last = row.last_us - 1
            sent["part"] = size_of(playing.part(header, playing.for_player(events), start=last))

        def prove() -> None:
            assert store_reader.reading(row, where=where).finish() == []

        peaks = {act.__name__: peak_of(act) for act in (take_away, play_its_end, prove)}
        assert sent["whole"] > 60 * MEGABYTE
        assert sent["part"] < playing.PART + MEGABYTE
        assert max(peaks.values()) < MOST, peaks

    def test_of_its_text_too(self, session: AccessSession, where: FileSystem) -> None:
        peak = peak_of(lambda: indexing.index(session.pk, where=where))
        assert recording(session).text_lines > 0
        assert peak < MOST, peak

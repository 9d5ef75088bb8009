"""Watching live, over a real Valkey: promptly, from the middle, and at no cost to the unwatched."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.recording import live, watching
from sessions.recording.live import Broadcaster
from sessions.recording.recorder import Recorder
from sessions.recording.redaction import Redactor
from sessions.recording.writer import RecordingWriter
from tests.sessions.recording import support


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "spool")
    made.companions = [Broadcaster(made).start()]
    yield made
    made.stop()


def opened(recorder: Recorder) -> RecordingWriter:
    return recorder.open(session_id=uuid.uuid4(), header=support.HEADER, on_failure=lambda *_: None)


async def following(lines: AsyncIterator[str], count: int = 1) -> list[Any]:
    async with asyncio.timeout(5):
        return [json.loads(await anext(lines)) for _ in range(count)]


class TestLines:
    def test_begin_with_header_and_snapshot_and_go_on(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            tape.output(b"before\r\n")
            tape.resize(120, 40)
            lines = watching.lines(tape.session_id)
            header, snapshot = await following(lines, 2)
            assert header["version"] == 3
            assert header["term"] == {"cols": 120, "rows": 40, "type": "xterm-256color"}
            assert snapshot[1] == "o"
            assert snapshot[2].endswith("before\r\n")
            tape.output(b"after")
            assert [line[2] for line in await following(lines)] == ["after"]
            await tape.close()
            assert [line async for line in lines] == []

        asyncio.run(act())

    def test_show_within_half_a_second(self, recorder: Recorder) -> None:
        async def act() -> list[float]:
            tape = opened(recorder)
            lines = watching.lines(tape.session_id)
            await following(lines, 2)
            lags = []
            for number in range(5):
                started = time.monotonic()
                tape.output(b"%d" % number)
                await following(lines)
                lags.append(time.monotonic() - started)
            await lines.aclose()
            return lags

        lags = asyncio.run(act())
        # A wait that is built in is in each of them; what the machine does meanwhile is not.
        assert min(lags) < 0.5

    def test_begin_though_the_gateway_was_not_listening_when_first_asked(
        self, tmp_path: Path
    ) -> None:
        recorder = Recorder(tmp_path / "spool")

        async def act() -> None:
            tape = opened(recorder)
            lines = watching.lines(tape.session_id)
            asked = asyncio.ensure_future(following(lines, 2))
            await asyncio.sleep(0.5)
            recorder.companions = [Broadcaster(recorder).start()]
            await asked
            await lines.aclose()

        try:
            asyncio.run(act())
        finally:
            recorder.stop()

    def test_nothing_is_lost_or_doubled_between_snapshot_and_lines(
        self, recorder: Recorder
    ) -> None:
        async def act() -> str:
            tape = opened(recorder)
            writing = True

            async def write() -> None:
                number = 0
                while writing:
                    tape.output(b"<%d>" % number)
                    number += 1
                    await asyncio.sleep(0.001)
                await tape.close()

            writer = asyncio.ensure_future(write())
            await asyncio.sleep(0.3)
            lines = watching.lines(tape.session_id)
            told = [json.loads(await anext(lines))]
            async with asyncio.timeout(10):
                async for line in lines:
                    told.append(json.loads(line))
                    if len(told) > 400:
                        writing = False
            await writer
            return "".join(line[2] for line in told[1:] if line[1] == "o")

        text = asyncio.run(act())
        seen = [int(number) for number in text.partition("<")[2].replace(">", "").split("<")]
        assert seen == list(range(len(seen)))

    def test_two_watchers_see_the_same(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            one, two = watching.lines(tape.session_id), watching.lines(tape.session_id)
            await following(one, 2)
            await following(two, 2)
            tape.output(b"both")
            assert (await following(one))[0][2] == (await following(two))[0][2] == "both"
            await one.aclose()
            await two.aclose()

        asyncio.run(act())

    def test_what_patterns_hide_is_hidden(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            tape.output(b"postgresql://app:hunter2@db\r\n")
            lines = watching.lines(tape.session_id, redactor=Redactor.of_settings())
            told = await following(lines, 2)
            tape.output(b"AKIAIOSFODNN7EXAMPLE")
            told += await following(lines)
            assert "hunter2" not in str(told)
            assert told[2][2] == "█" * 20
            await lines.aclose()

        asyncio.run(act())

    def test_too_much_at_once_gives_a_new_snapshot(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "LONGEST_BATCH", 1000)

        async def act() -> None:
            tape = opened(recorder)
            lines = watching.lines(tape.session_id)
            await following(lines, 2)
            tape.output(b"x" * 2000 + b"\x1b[2Jthe end")
            while True:
                (line,) = await following(lines)
                if line[1] == "o":
                    break
            assert line[2].endswith("the end")
            tape.output(b"and on")
            assert (await following(lines))[0][2] == "and on"
            await lines.aclose()

        asyncio.run(act())

    def test_a_session_that_is_not_live_is_said_so(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "ANSWER", 0.4)

        async def act() -> None:
            with pytest.raises(watching.NotLive):
                await following(watching.lines(uuid.uuid4()))

        asyncio.run(act())

    def test_a_gateway_that_dies_is_noticed(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "SILENCE", 0.4)

        async def act() -> None:
            tape = opened(recorder)
            lines = watching.lines(tape.session_id)
            await following(lines, 2)
            recorder.companions[0].stop()
            with pytest.raises(watching.GatewaySilent):
                await following(lines)

        asyncio.run(act())


class TestCost:
    def test_nothing_is_kept_of_what_nobody_watches_any_more(self, recorder: Recorder) -> None:
        async def act() -> RecordingWriter:
            tape = opened(recorder)
            assert tape.watched is None
            lines = watching.lines(tape.session_id)
            await following(lines, 2)
            assert tape.watched is not None
            await lines.aclose()
            tape.output(b"unseen")
            return tape

        tape = asyncio.run(act())
        support.until(lambda: tape.watched is None)

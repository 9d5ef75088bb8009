"""The recorder: on the disk within a second, and loud as soon as it can't be."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sessions.recording import recorder as recording
from sessions.recording import spool
from sessions.recording.recorder import Recorder
from sessions.recording.spool import SpoolUnavailable
from sessions.recording.writer import RecordingWriter
from tests.sessions.recording import support


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path / "spool", stuck_after=0.5)
    yield made
    made.stop()


class Told:
    """Remembers what the gateway was told."""

    def __init__(self) -> None:
        self.failures: list[tuple[uuid.UUID, str]] = []
        self.thread: int | None = None

    def __call__(self, session_id: uuid.UUID, why: str) -> None:
        self.failures.append((session_id, why))
        self.thread = threading.get_ident()


async def until(truth: Callable[[], Any], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not truth():  # noqa: ASYNC110 -- the writer is a thread; it sets no event of ours
            await asyncio.sleep(0.01)


def opened(
    recorder: Recorder, told: Callable[[uuid.UUID, str], None] | None = None
) -> RecordingWriter:
    return recorder.open(session_id=uuid.uuid4(), header=support.HEADER, on_failure=told or Told())


class TestTape:
    def test_everything_comes_back_in_order(self, recorder: Recorder) -> None:
        async def act() -> RecordingWriter:
            tape = opened(recorder)
            tape.output("grüß\r\n".encode())
            tape.resize(100, 30)
            tape.mark({"kind": "command", "text": "ls"})
            tape.input(b"x")
            tape.exit(3)
            head = await tape.close()
            assert head.final
            assert head.size == recorder.spool.path(tape.session_id).stat().st_size
            return tape

        tape = asyncio.run(act())
        events = support.events(recorder.spool.path(tape.session_id))
        assert [(event.code, event.text) for event in events] == [
            ("o", "grüß\r\n"),
            ("r", "100x30"),
            ("m", '{"kind":"command","text":"ls"}'),
            ("i", "x"),
            ("x", "3"),
        ]
        assert events[2].fact() == {"kind": "command", "text": "ls"}

    def test_is_on_the_disk_within_a_second_without_being_asked(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            tape.output(b"now")
            path = recorder.spool.path(tape.session_id)
            await until(lambda: b'"now"' in support.lines(path), seconds=1)
            await tape.close()

        asyncio.run(act())

    def test_a_quarter_megabyte_does_not_wait(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            tape.output(b"x" * 300_000)
            await until(lambda: tape.head.pieces, seconds=0.4)
            await tape.close()

        asyncio.run(act())

    def test_nothing_typed_is_kept_unless_asked_for(self, recorder: Recorder) -> None:
        """`read -s`: the password goes up as keystrokes and never comes down as output."""

        async def act() -> RecordingWriter:
            tape = opened(recorder)
            tape.output(b"Password: ")
            tape.output(b"\r\n")
            await tape.close()
            return tape

        tape = asyncio.run(act())
        codes = {event.code for event in support.events(recorder.spool.path(tape.session_id))}
        assert codes == {"o"}

    def test_of_a_closed_tape_takes_no_more(self, recorder: Recorder) -> None:
        async def act() -> None:
            tape = opened(recorder)
            first = await tape.close()
            tape.output(b"late")
            assert await tape.close() == first
            assert "late" not in support.lines(recorder.spool.path(tape.session_id)).decode()

        asyncio.run(act())

    def test_the_folder_and_the_files_are_ours_alone(self, recorder: Recorder) -> None:
        tape = opened(recorder)
        path = recorder.spool.path(tape.session_id)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_what_is_on_the_disk_is_not_readable_without_the_key(self, recorder: Recorder) -> None:
        async def act() -> RecordingWriter:
            tape = opened(recorder)
            tape.output(b"the secret of the house")
            await tape.close()
            return tape

        tape = asyncio.run(act())
        assert b"secret" not in recorder.spool.path(tape.session_id).read_bytes()


class TestRoom:
    def test_holds_a_fast_reader_back_until_the_disk_has_caught_up(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "QUEUE", 100_000)
        let_go = threading.Event()
        sync = os.fdatasync

        def slow(descriptor: int) -> None:
            let_go.wait(5)
            sync(descriptor)

        async def act() -> None:
            tape = opened(recorder)
            monkeypatch.setattr(os, "fdatasync", slow)
            tape.output(b"x" * 120_000)
            waiting = asyncio.ensure_future(tape.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            let_go.set()
            await asyncio.wait_for(waiting, 5)
            await tape.close()

        asyncio.run(act())

    def test_overflow_ends_the_recording_rather_than_the_memory(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "OVERFLOW", 100_000)
        told = Told()

        async def act() -> None:
            tape = opened(recorder, told)
            tape.output(b"x" * 120_000)
            assert "overflowed" in tape.failed
            await until(lambda: told.failures)

        asyncio.run(act())
        assert told.thread == threading.get_ident()


class TestFailures:
    def test_a_full_disk_ends_live_recordings_and_says_so(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = Told()

        async def act() -> None:
            tape = opened(recorder, told)
            await until(lambda: tape.head.pieces)

            def full(descriptor: int, data: memoryview) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(os, "write", full)
            tape.output(b"lost")
            await until(lambda: told.failures)
            assert "No space left" in tape.failed
            head = await tape.close()
            assert head.pieces == 1
            with pytest.raises(SpoolUnavailable, match="No space left"):
                opened(recorder)

        asyncio.run(act())
        assert "is not recorded any more" in caplog.text
        assert recorder.failures == 1

    def test_a_limit_of_the_system_itself_is_met_like_a_full_disk(self, recorder: Recorder) -> None:
        """Not a stand-in: the kernel refuses to let the file grow (EFBIG)."""
        told = Told()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)

        async def act() -> None:
            tape = opened(recorder, told)
            tape.output(os.urandom(400_000).hex().encode())
            await until(lambda: told.failures)
            assert "File too large" in tape.failed
            assert not (await tape.close()).final

        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        try:
            asyncio.run(act())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def test_a_nearly_full_disk_takes_no_new_recording(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spool, "LEAST_FREE", 2**62)
        with pytest.raises(SpoolUnavailable, match="64 MB"):
            opened(recorder)

    def test_a_sync_that_fails_is_a_failure(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = Told()

        def refuse(descriptor: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        async def act() -> None:
            one, two = opened(recorder, told), opened(recorder, told)
            monkeypatch.setattr(os, "fdatasync", refuse)
            one.output(b"a")
            two.output(b"b")
            await until(lambda: len(told.failures) == 2)
            assert "does not keep" in one.failed

        asyncio.run(act())

    def test_a_dead_writer_ends_live_recordings_and_refuses_new_ones(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told = Told()

        def broken(*_: object) -> None:
            raise RuntimeError("a bug")

        async def act() -> None:
            tape, idle = opened(recorder, told), opened(recorder, told)
            monkeypatch.setattr(RecordingWriter, "take", broken)
            tape.output(b"lost")
            await until(lambda: len(told.failures) == 2)
            assert "a bug" in tape.failed
            assert idle.failed
            with pytest.raises(SpoolUnavailable, match="a bug"):
                opened(recorder)
            assert not (await tape.close()).final

        asyncio.run(act())

    def test_a_stuck_writer_is_noticed_and_forgiven_when_it_writes_again(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told, let_go = Told(), threading.Event()

        def stuck(descriptor: int) -> None:
            let_go.wait(10)

        async def act() -> None:
            tape = opened(recorder, told)
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", stuck)
                tape.output(b"waiting")
                await until(lambda: told.failures)
                assert "stuck" in tape.failed
                with pytest.raises(SpoolUnavailable, match="stuck"):
                    opened(recorder)
                let_go.set()
            await until(lambda: not recorder.trouble)
            again = opened(recorder)
            assert (await again.close()).final

        asyncio.run(act())

    def test_no_descriptor_is_left_open(self, recorder: Recorder) -> None:
        before = len(list(Path("/proc/self/fd").iterdir()))

        async def act() -> None:
            tapes = [opened(recorder) for _ in range(20)]
            recorder.failed(tapes[0], "for the test")
            for tape in tapes:
                await tape.close()

        asyncio.run(act())
        asyncio.run(until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before + 3))


class TestSpool:
    def test_a_living_recorders_spool_is_nobody_elses(self, tmp_path: Path) -> None:
        made = Recorder(tmp_path)
        opened(made)
        assert list(spool.abandoned(tmp_path)) == []
        made.stop()
        (left,) = spool.abandoned(tmp_path)
        assert len(left.recordings()) == 1
        left.remove(left.recordings()[0])
        left.leave()
        assert list(tmp_path.iterdir()) == []

    def test_an_unwritable_spool_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SpoolUnavailable, match="operator"):
            Recorder(tmp_path / "file")

"""The daily look at what is stored: tampering after the seal is found, told and rings."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jit.audit.models import AuditEvent
from jit.kernel import clock
from sessions.models import AccessSession
from sessions.recording import checking, store_reader
from sessions.recording.models import Recording, Standing
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.gateway import FakeGateway, recording

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    """A sealed session whose recording was last verified long ago."""
    made = gateway.record(b"evidence\r\n")
    gateway.move()
    long_ago = clock.now() - dt.timedelta(days=30)
    Recording.objects.update(verified_at=long_ago)
    return made


def change(session: AccessSession, where: FileSystem, how: Any) -> None:
    (name,) = store_reader.objects(session.pk, where=where)
    path = where.root / name
    data = bytearray(path.read_bytes())
    path.unlink()
    if how is not None:
        how(data)
        path.write_bytes(bytes(data))


class TestCheckAgain:
    def test_reads_each_once_in_its_time(self, session: AccessSession, where: FileSystem) -> None:
        assert checking.check_again(where=where) == 1
        assert checking.check_again(where=where) == 0
        row = recording(session)
        assert row.standing == Standing.WHOLE
        assert row.verified_at
        assert row.verified_at > clock.now() - dt.timedelta(minutes=1)

    @pytest.mark.parametrize(
        "how",
        [
            lambda data: data.__setitem__(-1, data[-1] ^ 1),
            lambda data: data.__delitem__(slice(-10, None)),
            None,
        ],
        ids=["flipped bit", "cut off", "deleted"],
    )
    def test_tampering_is_flagged_told_and_rings(
        self,
        session: AccessSession,
        where: FileSystem,
        how: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        change(session, where, how)
        checking.check_again(where=where)
        row = recording(session)
        assert row.standing == Standing.BROKEN
        assert row.problems
        assert (
            AuditEvent.objects.filter(action="recording.broken", subject_id=str(session.pk)).count()
            == 1
        )
        assert "is broken" in caplog.text
        Recording.objects.update(verified_at=clock.now() - dt.timedelta(days=30))
        checking.check_again(where=where)
        assert AuditEvent.objects.filter(action="recording.broken").count() == 1

    def test_what_was_incomplete_when_sealed_is_not_broken_by_it(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        from tests.sessions import used

        made = gateway.session()
        tape = gateway.tape(made)
        tape.output(b"x")
        gateway.recorder.failed(tape, "for the test")
        used.closed(made)
        gateway.move()
        assert recording(made).standing == Standing.INCOMPLETE
        Recording.objects.update(verified_at=clock.now() - dt.timedelta(days=30))
        checking.check_again(where=where)
        assert recording(made).standing == Standing.INCOMPLETE

    def test_each_comes_within_its_day(self, session: AccessSession, where: FileSystem) -> None:
        yesterday = clock.now() - dt.timedelta(hours=22)
        Recording.objects.update(verified_at=yesterday)
        assert checking.check_again(where=where) == 0
        Recording.objects.update(verified_at=yesterday - dt.timedelta(hours=1, minutes=5))
        assert checking.check_again(where=where) == 1

    def test_takes_no_longer_than_its_share_and_says_what_is_late(
        self,
        gateway: FakeGateway,
        where: FileSystem,
        settings: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        for _ in range(3):
            gateway.record(b"evidence\r\n")
        gateway.move()
        Recording.objects.update(verified_at=clock.now() - dt.timedelta(days=2))
        settings.RECORDINGS_VERIFY_SECONDS = 0
        assert checking.check_again(where=where) == 0
        assert "3 recordings were not verified in their time, and 3 wait" in caplog.text
        settings.RECORDINGS_VERIFY_SECONDS = 60
        assert checking.check_again(where=where) == 3

    def test_books_that_disagree_with_the_sealed_log_break_it(
        self, gateway: FakeGateway, session: AccessSession, where: FileSystem
    ) -> None:
        """Who can write bytes and books alike still can't change what the log sealed."""
        other = gateway.record(b"harmless\r\n")
        gateway.move()
        mine, theirs = recording(session), recording(other)
        same = {name: getattr(theirs, name) for name in ("preamble", "digest", "pieces", "size")}
        Recording.objects.filter(pk=mine.pk).update(**same)
        Recording.objects.update(verified_at=clock.now() - dt.timedelta(days=30))
        checking.check_again(where=where)
        kinds = {problem["kind"] for problem in recording(session).problems}
        assert "log" in kinds
        assert recording(session).standing == Standing.BROKEN
        assert recording(other).standing == Standing.WHOLE

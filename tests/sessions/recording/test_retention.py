"""How long recordings are kept, what a hold does, and that the history stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jit.audit.models import AuditEvent
from jit.kernel import clock, db
from sessions import recordings
from sessions.models import AccessSession
from sessions.recording import queries, retention, store_reader
from sessions.recording.models import Recording, TranscriptLine
from sessions.recording.stores.base import StoreFailed
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.gateway import FakeGateway, recording
from tests.support import people

pytestmark = pytest.mark.django_db


def events(action: str, session: AccessSession) -> int:
    return AuditEvent.objects.filter(action=action, subject_id=str(session.pk)).count()


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    """A sealed session whose recording's time is over."""
    made = gateway.record(b"old")
    gateway.move()
    Recording.objects.update(keep_until=clock.now() - dt.timedelta(days=1))
    TranscriptLine.objects.create(session=made, number=0, at_ms=0, text="old")
    return made


class TestKeepUntil:
    def test_is_by_the_risk_of_the_role(self, gateway: FakeGateway, settings: Any) -> None:
        settings.RECORDINGS_KEPT_DAYS = {"low": 1, "medium": 2, "high": 3, "critical": 4}
        made = gateway.record(b"x")
        gateway.move()
        row = recording(made)
        assert row.keep_until
        assert row.stored_at
        days = settings.RECORDINGS_KEPT_DAYS[made.role.risk]
        assert row.keep_until - row.stored_at == dt.timedelta(days=days)


class TestDelete:
    def test_deletes_bytes_and_text_and_keeps_the_row(
        self, session: AccessSession, where: FileSystem
    ) -> None:
        assert retention.delete_what_is_due(where=where) == 1
        row = recording(session)
        assert row.deleted_at
        assert row.erased_at
        assert row.digest
        assert store_reader.objects(session.pk, where=where) == []
        assert not TranscriptLine.objects.filter(session=session).exists()
        assert events("recording.deleted", session) == 1
        assert retention.delete_what_is_due(where=where) == 0

    def test_200_000_lines_in_one_transaction(
        self, session: AccessSession, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        TranscriptLine.objects.bulk_create(
            TranscriptLine(session=session, number=n, at_ms=n, text="old") for n in range(1, 25)
        )
        monkeypatch.setattr(db.delete_in_parts, "__kwdefaults__", {"part": 10})
        with CaptureQueriesContext(connection) as seen:
            assert retention.delete_what_is_due(where=where) == 1
        deletes = [
            each["sql"]
            for each in seen.captured_queries
            if each["sql"].startswith('DELETE FROM "jit_sessions_transcriptline"')
        ]
        assert len(deletes) == 3
        assert not TranscriptLine.objects.filter(session=session).exists()

    def test_shows_nothing_of_a_text_that_is_not_gone_yet(
        self, session: AccessSession, where: FileSystem, world: Any
    ) -> None:
        udo = world.user("udo")
        assert queries.search(udo, "old")
        Recording.objects.update(deleted_at=clock.now())
        assert TranscriptLine.objects.filter(session=session).exists()
        assert queries.search(udo, "old") == []
        assert queries.transcript(session) == []
        assert recordings.lines_of(session, most=10) == []
        assert retention.delete_what_is_due(where=where) == 1
        assert not TranscriptLine.objects.filter(session=session).exists()

    def test_leaves_what_is_not_due(self, gateway: FakeGateway, where: FileSystem) -> None:
        made = gateway.record(b"new")
        gateway.move()
        assert retention.delete_what_is_due(where=where) == 0
        assert store_reader.objects(made.pk, where=where)

    def test_what_the_store_refused_is_asked_for_again(
        self, session: AccessSession, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: str) -> None:
            raise StoreFailed("locked")

        with monkeypatch.context() as patch:
            patch.setattr(where, "delete", refuse)
            assert retention.delete_what_is_due(where=where) == 0
        assert recording(session).erased_at is None
        assert retention.delete_what_is_due(where=where) == 1
        assert events("recording.deleted", session) == 1


def auditor(username: str, **more: Any) -> dict[str, Any]:
    who = people.person(username, "auditors", **more)
    return {"by": who, "actor": people.acting(who), "now": clock.now()}


class TestHold:
    def test_keeps_a_recording_beyond_its_time_until_lifted(
        self, session: AccessSession, where: FileSystem, world: Any
    ) -> None:
        udo = {"by": world.user("udo"), "actor": world.actor("udo"), "now": clock.now()}
        retention.hold(session_id=session.pk, why="case 7", **udo)
        assert retention.delete_what_is_due(where=where) == 0
        assert store_reader.objects(session.pk, where=where)
        with pytest.raises(retention.HeldAlready):
            retention.hold(session_id=session.pk, why="case 8", **udo)
        uma = auditor("uma")
        retention.lift(session_id=session.pk, why="case closed", **udo)
        retention.lift(session_id=session.pk, why="so it is", **uma)
        with pytest.raises(retention.NotHeld):
            retention.lift(session_id=session.pk, why="again", **udo)
        held = recording(session).holds.get()
        assert (held.why, held.release_asked_why) == ("case 7", "case closed")
        assert (held.lifted_why, held.lifted_by) == ("so it is", uma["by"])
        assert retention.delete_what_is_due(where=where) == 1
        assert events("recording.held", session) == events("recording.released", session) == 1
        with pytest.raises(retention.RecordingDeleted):
            retention.hold(session_id=session.pk, why="late", **udo)

    def test_one_auditor_does_not_lift_their_own_hold(
        self, session: AccessSession, where: FileSystem, world: Any
    ) -> None:
        udo = {"by": world.user("udo"), "actor": world.actor("udo"), "now": clock.now()}
        double = auditor("udo-2", same_person_as=udo["by"])
        retention.hold(session_id=session.pk, why="case 7", **udo)
        retention.lift(session_id=session.pk, why="case closed", **udo)
        for who in (udo, double):
            with pytest.raises(retention.SecondAuditorNeeded, match="another auditor agrees"):
                retention.lift(session_id=session.pk, why="again", **who)
        assert recording(session).holds.get().lifted_at is None
        assert retention.delete_what_is_due(where=where) == 0
        assert events("recording.released", session) == 0

    def test_nobody_lifts_the_hold_on_a_recording_of_their_own(
        self, session: AccessSession, world: Any
    ) -> None:
        udo = {"by": world.user("udo"), "actor": world.actor("udo"), "now": clock.now()}
        retention.hold(session_id=session.pk, why="case 7", **udo)
        double = auditor("double", same_person_as=session.user)
        with pytest.raises(retention.OwnRecording):
            retention.lift(session_id=session.pk, why="mine", **double)

    def test_set_between_looking_and_deleting_still_holds(
        self, session: AccessSession, where: FileSystem, world: Any
    ) -> None:
        retention.hold(
            session_id=session.pk, why="case 7", by=world.user("udo"), actor=world.actor("udo"),
            now=clock.now(),
        )  # fmt: skip
        retention._decide(session.pk, clock.now())
        assert recording(session).deleted_at is None

    def test_is_for_auditors_and_with_a_reason(self, session: AccessSession, world: Any) -> None:
        def hold(username: str, why: str) -> None:
            retention.hold(
                session_id=session.pk, why=why, by=world.user(username),
                actor=world.actor(username), now=clock.now(),
            )  # fmt: skip

        with pytest.raises(retention.HoldNotAllowed):
            hold("rita", "mine")
        with pytest.raises(retention.HoldNeedsReason):
            hold("udo", "  ")
        hold("udo", "case 7")

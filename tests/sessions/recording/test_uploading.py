"""From the spool to the store and the seal; what a dead gateway left; what won't go."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import stat
from typing import Any

import pytest

from jit.audit.models import AuditEvent
from sessions.models import AccessSession
from sessions.recording import store_reader, uploading
from sessions.recording.models import Recording, Standing
from sessions.recording.stores.base import StoreFailed
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions import used
from tests.sessions.recording import support
from tests.sessions.recording.gateway import FakeGateway, recording

pytestmark = pytest.mark.django_db


def shown(session: AccessSession, where: FileSystem) -> list[str]:
    return [event.text for event in store_reader.reading(recording(session), where=where).events()]


def sealed_body(session: AccessSession) -> dict[str, Any]:
    from jit.audit import events

    event = AuditEvent.objects.get(action="session.sealed", subject_id=str(session.pk))
    body: dict[str, Any] = events.content_of(bytes(event.body))["body"]
    return body


def recording_state(session: AccessSession) -> str:
    session.refresh_from_db()
    return session.state


class TestHeads:
    def test_are_in_the_books_while_the_session_lives(self, gateway: FakeGateway) -> None:
        one, two = gateway.session(), gateway.session()
        tapes = [gateway.tape(one), gateway.tape(two)]
        tapes[0].output(b"x" * 300_000)
        support.until(lambda: tapes[0].head.pieces and tapes[1].head.pieces)
        assert gateway.heads.save() == 2
        assert gateway.heads.save() == 0
        row = recording(one)
        assert (row.pieces, row.digest) == (tapes[0].head.pieces, tapes[0].head.digest.hex())
        assert row.standing == Standing.RECORDING
        assert not row.final


class TestUploading:
    def test_a_closed_recording_is_stored_verified_and_sealed(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.record(b"one\r\n", b"two\r\n")
        gateway.move()
        session.refresh_from_db()
        row = recording(session)
        assert session.state == "SEALED"
        assert row.standing == Standing.WHOLE
        assert row.stored_at
        assert shown(session, where) == ["one\r\n", "two\r\n"]
        assert gateway.recorder.spool.recordings() == []
        assert sealed_body(session) == {
            "recording": "whole",
            "digest": row.digest,
            "pieces": row.pieces,
            "bytes": row.size,
            "seconds": 0,
            "problems": [],
            "problem_count": 0,
            "from": "CLOSED",
            "to": "SEALED",
        }

    def test_a_big_one_keeps_no_small_one_from_being_sealed(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "TURN_SECONDS", 0)
        big = gateway.record(*(os.urandom(400_000) for _ in range(12)))
        small = gateway.record(b"small\r\n")
        turns = 0
        while recording_state(small) != "SEALED":
            gateway.move()
            turns += 1
        assert turns <= 2
        assert recording_state(big) == "CLOSED"
        assert gateway.uploader._more
        while recording_state(big) != "SEALED":
            assert gateway.uploader._more
            gateway.move()
        assert recording(big).standing == Standing.WHOLE
        assert len(store_reader.objects(big.pk, where=where)) > 1

    def test_stopping_brings_all_away(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "TURN_SECONDS", 0)
        big = gateway.record(*(os.urandom(400_000) for _ in range(12)))
        gateway.heads.save()
        gateway.uploader.start().stop()
        assert recording_state(big) == "SEALED"

    def test_waits_with_the_seal_until_the_session_is_closed(self, gateway: FakeGateway) -> None:
        from sessions.recording import checking

        session = gateway.session()
        asyncio.run(gateway.tape(session).close())
        gateway.move()
        session.refresh_from_db()
        assert session.state == "LIVE"
        assert checking.seal_what_is_ready() == 0
        used.closed(session)
        assert checking.seal_what_is_ready() == 1
        session.refresh_from_db()
        assert session.state == "SEALED"

    def test_a_live_recording_is_brought_away_bit_by_bit(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "OBJECT_SECONDS", 0)
        session = gateway.session()
        tape = gateway.tape(session)
        for number in range(3):
            tape.output(b"%d" % number * 300_000)
            support.until_written(tape)
            gateway.move()
        names = store_reader.objects(session.pk, where=where)
        assert len(names) >= 3
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        assert recording(session).standing == Standing.WHOLE
        assert (
            next(
                store_reader.span(each)[0] for each in store_reader.objects(session.pk, where=where)
            )
            == 0
        )
        assert "".join(shown(session, where)) == "".join(str(n) * 300_000 for n in range(3))

    def test_stored_files_are_read_only_and_ours(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.record(b"x")
        gateway.move()
        for name in store_reader.objects(session.pk, where=where):
            path = where.root / name
            assert stat.S_IMODE(path.stat().st_mode) == 0o400
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


class TestAbandoned:
    def test_of_a_killed_gateway_is_found_sealed_and_called_incomplete(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        tape.output(b"seen before the end\r\n" * 20_000)
        support.until(lambda: tape.head.pieces)
        path = gateway.recorder.spool.path(session.pk)
        gateway.die()
        with path.open("ab") as file:
            file.write(path.read_bytes()[-300:-40])  # A piece that was being written.
        from sessions.states import ClosedBecause

        used.closed(session, ClosedBecause.LOST)
        gateway.start()
        gateway.uploader.turn()
        session.refresh_from_db()
        row = recording(session)
        assert session.state == "SEALED"
        assert row.standing == Standing.INCOMPLETE
        assert [problem["kind"] for problem in row.problems] == ["unfinished"]
        assert "".join(shown(session, where)) == "seen before the end\r\n" * 20_000
        assert "breaks off" in sealed_body(session)["problems"][0]
        assert not path.parent.exists()

    def test_goes_on_where_the_dead_gateway_stopped_uploading(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "OBJECT_SECONDS", 0)
        session = gateway.session()
        tape = gateway.tape(session)
        tape.output(b"first" * 60_000)
        support.until(lambda: tape.head.pieces)
        gateway.move()
        before = store_reader.objects(session.pk, where=where)
        assert before
        tape.output(b"second" * 60_000)
        support.until_written(tape)
        gateway.die()
        used.closed(session)
        gateway.start()
        gateway.uploader.turn()
        assert store_reader.objects(session.pk, where=where)[: len(before)] == before
        assert shown(session, where) == ["first" * 60_000, "second" * 60_000]

    def test_a_tail_that_the_books_know_and_the_disk_lost_is_said(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        for _ in range(2):
            tape.output(b"x" * 300_000)
            support.until_written(tape)
        gateway.heads.save()
        path = gateway.recorder.spool.path(session.pk)
        gateway.die()
        data = path.read_bytes()
        path.write_bytes(data[: len(data) - 100])
        used.closed(session)
        gateway.start()
        gateway.uploader.turn()
        row = recording(session)
        assert row.standing == Standing.INCOMPLETE
        assert [problem["kind"] for problem in row.problems] == ["lost-tail"]

    def test_damage_in_the_spool_is_shown_and_the_original_kept(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        for number in range(3):
            tape.output(b"%d" % number * 300_000)
            support.until_written(tape)
        gateway.heads.save()
        path = gateway.recorder.spool.path(session.pk)
        gateway.die()
        changed = bytearray(path.read_bytes())
        changed[len(tape.preamble) + 80] ^= 1
        path.write_bytes(bytes(changed))
        used.closed(session)
        gateway.start()
        gateway.uploader.turn()
        row = recording(session)
        assert row.standing == Standing.BROKEN
        assert row.problems[0]["kind"] == "gap"
        assert row.problems[0]["first"] == 0
        kept = gateway.root / "set-aside" / f"{session.pk}.rec.damaged"
        assert kept.read_bytes() == bytes(changed)


class TestPoison:
    def test_is_set_aside_and_blocks_no_other(
        self,
        gateway: FakeGateway,
        where: FileSystem,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(uploading, "LONGEST_PAUSE", 0)
        bad = gateway.record(b"bad")
        good = gateway.record(b"good")
        gateway.heads.save()
        where.put(store_reader.name(bad.pk, 0, recording(bad).pieces - 1), b"else", keep_until=None)
        with caplog.at_level(logging.ERROR):
            for _ in range(uploading.TRIES):
                gateway.uploader.turn()
        assert recording(good).standing == Standing.WHOLE
        row = recording(bad)
        assert "does not hold what was sent" in row.set_aside
        assert row.standing == Standing.INCOMPLETE
        assert (gateway.root / "set-aside" / f"{bad.pk}.rec").exists()
        assert AuditEvent.objects.filter(
            action="recording.set-aside", subject_id=str(bad.pk)
        ).exists()
        bad.refresh_from_db()
        assert bad.state == "CLOSED"
        assert "was set aside" in caplog.text

    def test_one_of_a_session_that_the_database_forgot_is_kept_and_named(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As after the restore of an older dump."""
        monkeypatch.setattr(uploading, "LONGEST_PAUSE", 0)
        forgotten = gateway.record(b"forgotten")
        number = forgotten.pk
        gateway.heads.save()
        Recording.objects.filter(pk=number).delete()
        AccessSession.objects.filter(pk=number).delete()
        for _ in range(uploading.TRIES):
            gateway.uploader.turn()
        aside = gateway.root / "set-aside" / f"{number}.rec"
        assert aside.exists()
        event = AuditEvent.objects.get(action="recording.foreign", subject_id=str(number))
        assert str(aside) in bytes(event.body).decode()

    def test_a_store_that_is_away_is_waited_for(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "LONGEST_PAUSE", 0)
        session = gateway.record(b"x")
        gateway.heads.save()

        def away(*_: object, **__: object) -> None:
            raise StoreFailed("away")

        with monkeypatch.context() as patch:
            patch.setattr(where, "put", away)
            for _ in range(uploading.TRIES + 3):
                gateway.uploader.turn()
        assert recording(session).stored_at is None
        gateway.uploader.turn()
        assert recording(session).standing == Standing.WHOLE


class TestMissing:
    def test_a_recording_that_never_came_is_said_missing(
        self, gateway: FakeGateway, settings: Any
    ) -> None:
        from sessions.recording import checking

        session = used.closed(gateway.session())
        assert checking.seal_what_is_ready() == 0
        settings.RECORDINGS_MISSING_AFTER = -5
        assert checking.seal_what_is_ready() == 1
        session.refresh_from_db()
        assert session.state == "SEALED"
        assert recording(session).standing == Standing.MISSING
        assert AuditEvent.objects.filter(
            action="recording.missing", subject_id=str(session.pk)
        ).exists()

    def test_what_the_store_has_of_it_is_sealed(
        self,
        gateway: FakeGateway,
        where: FileSystem,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from sessions.recording import checking

        monkeypatch.setattr(uploading, "OBJECT_SECONDS", 0)
        session = gateway.session()
        tape = gateway.tape(session)
        tape.output(b"kept" * 80_000)
        support.until(lambda: tape.head.pieces)
        gateway.move()
        used.closed(session)
        settings.RECORDINGS_MISSING_AFTER = -5
        assert checking.seal_what_is_ready() == 1
        session.refresh_from_db()
        assert session.state == "SEALED"
        assert recording(session).standing == Standing.INCOMPLETE
        assert shown(session, where) == ["kept" * 80_000]

    def test_a_session_that_never_went_live_is_sealed_without(self, gateway: FakeGateway) -> None:
        from sessions.recording import checking

        session = used.closed(gateway.session(live=False))
        AccessSession.objects.filter(pk=session.pk).update(
            closed_at=session.closed_at - dt.timedelta(minutes=2)
        )
        assert checking.seal_what_is_ready() == 1
        assert sealed_body(session)["recording"] == "none"

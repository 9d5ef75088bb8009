"""Recordings become searchable bit by bit, once, up to a cap, and again from nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
from typing import Any

import pytest
from django.db import connection

from jit.kernel import db
from sessions.models import AccessSession
from sessions.recording import store_reader, uploading
from sessions.recording.models import Command, Recording, Tier, TranscriptLine
from sessions.recording.stores.filesystem import FileSystem
from sessions.recording.transcript import indexing
from sessions.recording.transcript.stripper import Stripper
from tests.sessions import used
from tests.sessions.recording import support
from tests.sessions.recording.gateway import FakeGateway, recording

pytestmark = pytest.mark.django_db


def lines(session: AccessSession) -> list[str]:
    rows = TranscriptLine.objects.filter(session=session).order_by("number")
    return [row.text for row in rows]


def indexed_again() -> int:
    """Index at once what would be taken ten seconds later."""
    Recording.objects.update(indexed_at=None)
    return indexing.index_what_is_due()


def pieces_of(gateway: FakeGateway, count: int) -> AccessSession:
    """Return a closed session whose recording has so many pieces of one line each."""
    session = gateway.session()
    tape = gateway.tape(session)
    for n in range(count):
        tape.output(b"line %d\r\n" % n)
        tape.flush()
        support.until_written(tape)
    asyncio.run(tape.close())
    return used.closed(session)


@pytest.mark.django_db(transaction=True)
class TestLocks:
    def test_indexing_holds_nothing_that_the_recording_needs(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = gateway.record(b"one\r\n")
        gateway.move()
        real, asked = Stripper.take, []

        def take(self: Stripper, events: Any) -> Any:
            beside = connection.copy()
            with beside.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
                cursor.execute(
                    "UPDATE jit_sessions_recording SET head_at = head_at WHERE session_id = %s",
                    [session.pk],
                )
            beside.close()
            asked.append(session.pk)
            return real(self, events)

        monkeypatch.setattr(Stripper, "take", take)
        assert indexing.index_what_is_due() == 1
        assert asked
        assert lines(session) == ["one"]


class TestIndex:
    def test_of_a_sealed_recording_is_complete(self, gateway: FakeGateway) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        tape.output(b"rita@w:~$ ls\r\n\x1b[1mfile\x1b[0m\r\nrita@w:~$ ")
        tape.mark({"kind": "file", "path": "/etc/hosts", "direction": "get"})
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        assert indexing.index_what_is_due() == 1
        assert lines(session) == ["rita@w:~$ ls", "file", "rita@w:~$"]
        told = list(Command.objects.order_by("number").values_list("tier", "kind", "text"))
        assert sorted(told) == [
            (Tier.EXACT, "file", "/etc/hosts"),
            (Tier.GUESSED, "command", "ls"),
        ]
        row = recording(session)
        assert row.text_done
        assert not row.text_truncated
        assert indexed_again() == 0

    def test_of_a_live_one_grows_and_doubles_nothing(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploading, "OBJECT_SECONDS", 0)
        session = gateway.session()
        tape = gateway.tape(session)
        seen = []
        for part in (b"one\r\ntw", b"o\r\nthree\x1b[3", b"1m\r\nend"):
            tape.output(part)
            tape.flush()
            support.until_written(tape)
            gateway.move()
            indexed_again()
            seen.append(lines(session))
        assert seen == [["one"], ["one", "two"], ["one", "two", "three"]]
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        assert indexed_again() == 1
        assert lines(session) == ["one", "two", "three", "end"]

    def test_stops_at_its_cap_and_says_so(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "MOST_LINES", 3)
        session = gateway.record(b"".join(b"line %d\r\n" % n for n in range(10)))
        gateway.move()
        indexing.index_what_is_due()
        assert lines(session) == ["line 0", "line 1", "line 2"]
        assert recording(session).text_truncated

    def test_of_a_big_one_keeps_no_small_one_waiting(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "TURN_SECONDS", 0)
        monkeypatch.setattr(indexing, "PAUSE", dt.timedelta(0))
        big = pieces_of(gateway, 5)
        small = gateway.record(b"small\r\n")
        gateway.move()
        Recording.objects.filter(pk=small.pk).update(indexed_at=db.now())  # Its turn comes last.
        real, turns = indexing.index, []

        def index(session_id: Any, **more: Any) -> bool:
            turns.append(session_id)
            return real(session_id, **more)

        monkeypatch.setattr(indexing, "index", index)
        assert indexing.index_what_is_due() == len(turns)
        assert recording(small).text_done
        assert recording(big).text_done
        assert turns[:4].count(small.pk) == turns.count(small.pk) == 2
        assert turns.count(big.pk) > 4
        assert lines(big) == [f"line {n}" for n in range(5)]

    def test_that_another_overtook_writes_nothing_twice(
        self, gateway: FakeGateway, where: FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = pieces_of(gateway, 3)
        gateway.move()
        real, overtaken = Stripper.take, []

        def take(self: Stripper, events: Any) -> Any:
            if not overtaken:
                overtaken.append(True)
                assert indexing.index(session.pk, where=where)
            return real(self, events)

        monkeypatch.setattr(Stripper, "take", take)
        assert not indexing.index(session.pk, where=where)
        assert lines(session) == ["line 0", "line 1", "line 2"]

    def test_makes_no_more_lines_than_its_cap(
        self, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "MOST_LINES", 2)
        session = gateway.session()
        tape = gateway.tape(session)
        for n in range(4):
            tape.output(b"line %d\r\nmore\r\n" % n)
            tape.mark({"kind": "file", "path": f"/{n}", "direction": "get"})
            tape.flush()
            support.until_written(tape)
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        made: list[bytes] = []
        real = Stripper._output

        def output(self: Stripper, at: int, text: str) -> Any:
            made.append(text.encode())
            return real(self, at, text)

        monkeypatch.setattr(Stripper, "_output", output)
        indexing.index_what_is_due()
        assert len(made) == 2  # That it is one too many shows in the second part.
        assert Command.objects.filter(kind="file").count() == 4
        assert recording(session).text_truncated

    def test_of_binary_output_without_a_terminal_counts_it(self, gateway: FakeGateway) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        tape.mark({"kind": "command", "tier": "protocol", "text": "tar c /etc"})
        tape.output(random.Random(1).randbytes(300_000))
        tape.output(b"tar: /etc/shadow: Permission denied\n")
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        indexing.index_what_is_due()
        found = lines(session)
        assert found[-2] == "tar: /etc/shadow: Permission denied"
        assert found[-1].endswith("characters of output that are no text]")
        assert len(found) == 2

    def test_of_binary_output_on_a_terminal_leaves_nothing_out(self, gateway: FakeGateway) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        tape.mark({"kind": "command", "tier": "protocol", "text": "cat noise"})
        tape.resize(80, 24)
        tape.output(b"\xff\xfe\x00\x01 secret \xff\xfe\r\n")
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        indexing.index_what_is_due()
        assert "secret" in lines(session)[0]

    def test_can_be_made_anew(self, gateway: FakeGateway) -> None:
        session = gateway.record(b"a\r\nb\r\n")
        gateway.move()
        indexing.index_what_is_due()
        TranscriptLine.objects.update(text="changed")
        indexing.rebuild(session.pk)
        assert lines(session) == ["a", "b"]

    def test_of_a_broken_recording_is_what_is_left(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        session = gateway.session()
        tape = gateway.tape(session)
        for part in (b"one\r\n", b"two\r\n", b"three\r\n"):
            tape.output(part)
            tape.flush()
            support.until_written(tape)
        asyncio.run(tape.close())
        used.closed(session)
        gateway.move()
        (name,) = store_reader.objects(session.pk, where=where)
        path = where.root / name
        data = bytearray(path.read_bytes())
        second = data.find(b"\x9aPC1", data.find(b"\x9aPC1", data.find(b"\x9aPC1") + 4) + 4)
        data[second - 1] ^= 1
        path.unlink()
        path.write_bytes(bytes(data))
        indexing.index_what_is_due()
        assert set(lines(session)) < {"one", "two", "three"}
        assert lines(session)

    def test_one_that_fails_keeps_no_other(
        self,
        gateway: FakeGateway,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        bad, good = gateway.record(b"bad\r\n"), gateway.record(b"good\r\n")
        gateway.move()
        real = indexing.index

        def index(session_id: Any, **more: Any) -> bool:
            if session_id == bad.pk:
                raise ValueError("for the test")
            return real(session_id, **more)

        monkeypatch.setattr(indexing, "index", index)
        with caplog.at_level(logging.ERROR):
            assert indexing.index_what_is_due() == 1
        assert lines(good) == ["good"]
        assert "can't be made" in caplog.text

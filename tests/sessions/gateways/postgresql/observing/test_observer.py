"""Which text stands behind a name, after all that may become of it."""

from __future__ import annotations

import struct

import pytest

from sessions.gateways.postgresql.observing.observer import StatementObserver
from sessions.gateways.postgresql.protocol.framing import Malformed
from tests.sessions.gateways.postgresql.ground import MemoryRecording


def parse(name: str, text: str) -> bytes:
    return f"{name}\0{text}\0".encode() + struct.pack("!H", 0)


def bind(portal: str, name: str) -> bytes:
    return f"{portal}\0{name}\0".encode() + struct.pack("!HHH", 0, 0, 0)


class TestNames:
    """Whoever gives a name a harmless text must not run another one under it."""

    def observer(self) -> tuple[StatementObserver, MemoryRecording]:
        recording = MemoryRecording()
        return StatementObserver(recording, database="shop"), recording

    def ask(self, observer: StatementObserver, *messages: tuple[str, bytes]) -> None:
        for kind, body in messages:
            observer.from_client(ord(kind), body)

    def answer(self, observer: StatementObserver, *messages: tuple[str, bytes]) -> None:
        for kind, body in messages:
            observer.from_target(ord(kind), body)

    def test_a_refused_parse_leaves_the_name_its_text(self) -> None:
        observer, recording = self.observer()
        self.ask(observer, ("P", parse("s", "DROP TABLE orders")), ("S", b""))
        self.answer(observer, ("1", b""), ("Z", b"I"))
        self.ask(observer, ("P", parse("s", "SELECT 1")), ("S", b""))
        self.answer(observer, ("E", b"C42P05\0Mexists already\0\0"), ("Z", b"I"))
        self.ask(observer, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(observer, ("2", b""), ("C", b"DROP TABLE\0"), ("Z", b"I"))
        assert recording.statements[-1]["text"] == "DROP TABLE orders"

    @pytest.mark.parametrize("answered_first", [True, False])
    def test_what_is_skipped_after_an_error_names_nothing(self, answered_first: bool) -> None:
        observer, recording = self.observer()
        self.ask(observer, ("P", parse("s", "DROP TABLE orders")), ("S", b""))
        self.answer(observer, ("1", b""), ("Z", b"I"))
        error = ("E", b"C42601\0Msyntax\0\0")
        self.ask(observer, ("P", parse("", "nonsense")))
        if answered_first:
            self.answer(observer, error)
        self.ask(observer, ("C", b"Ss\0"), ("P", parse("s", "SELECT 1")), ("S", b""))
        if not answered_first:
            self.answer(observer, error)
        self.answer(observer, ("Z", b"I"))
        self.ask(observer, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(observer, ("2", b""), ("C", b"DROP TABLE\0"), ("Z", b"I"))
        assert recording.statements[-1]["text"] == "DROP TABLE orders"

    def test_a_name_that_sql_took_away_is_not_known_any_more(self) -> None:
        observer, recording = self.observer()
        self.ask(observer, ("P", parse("s", "SELECT 1")), ("S", b""))
        self.answer(observer, ("1", b""), ("Z", b"I"))
        self.ask(observer, ("Q", b"DEALLOCATE s; PREPARE s AS DELETE FROM orders\0"))
        self.answer(observer, ("C", b"DEALLOCATE\0"), ("C", b"PREPARE\0"), ("Z", b"I"))
        self.ask(observer, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(observer, ("2", b""), ("C", b"DELETE 3\0"), ("Z", b"I"))
        assert recording.statements[-1]["text"] == "EXECUTE s"
        assert "DELETE FROM orders" in recording.texts[1]

    def test_a_portal_that_sql_took_away_is_not_known_any_more(self) -> None:
        observer, recording = self.observer()
        self.ask(observer, ("P", parse("s", "SELECT 1")), ("B", bind("c", "s")), ("S", b""))
        self.answer(observer, ("1", b""), ("2", b""), ("Z", b"T"))
        self.ask(observer, ("Q", b"COMMIT; BEGIN; DECLARE c CURSOR FOR SELECT * FROM salaries\0"))
        tags = (b"COMMIT\0", b"BEGIN\0", b"DECLARE CURSOR\0")
        self.answer(observer, *(("C", tag) for tag in tags), ("Z", b"T"))
        self.ask(observer, ("E", b"c\0" + bytes(4)), ("S", b""))
        self.answer(observer, ("s", b""), ("Z", b"T"))
        assert recording.statements[-1]["text"] == "EXECUTE c"

    def test_there_are_not_endlessly_many(self) -> None:
        observer, _ = self.observer()
        many = [("P", parse(str(number), "SELECT 1")) for number in range(10_000)]
        with pytest.raises(Malformed):
            self.ask(observer, *many)

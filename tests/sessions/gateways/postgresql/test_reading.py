"""What is read of statements, parameters, options and proofs; no server is needed."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql import framing, lexing, masking, scram, values, wishes
from sessions.gateways.postgresql.framing import Malformed, message
from sessions.gateways.postgresql.rendering import plain
from sessions.gateways.postgresql.tap import Tap
from tests.sessions.gateways.postgresql.ground import MemoryTape


class TestSplit:
    @pytest.mark.parametrize(
        ("text", "statements"),
        [
            ("", []),
            (" ;; ; ", []),
            ("SELECT 1", ["SELECT 1"]),
            ("SELECT 1;", ["SELECT 1"]),
            ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
            ("SELECT ';'; SELECT 'it''s;'", ["SELECT ';'", "SELECT 'it''s;'"]),
            ("SELECT E'\\';'; SELECT 2", ["SELECT E'\\';'", "SELECT 2"]),
            ("SELECT '\\'; SELECT 2", ["SELECT '\\'", "SELECT 2"]),
            ('SELECT ";"; SELECT 2', ['SELECT ";"', "SELECT 2"]),
            ("SELECT $$;$$; SELECT $a$ ; $$ ; $a$", ["SELECT $$;$$", "SELECT $a$ ; $$ ; $a$"]),
            ("SELECT a$b; SELECT c$d", ["SELECT a$b", "SELECT c$d"]),
            ("SELECT 1 -- ; no\n; SELECT 2", ["SELECT 1 -- ; no", "SELECT 2"]),
            ("SELECT 1 /* ; /* ; */ ; */; SELECT 2", ["SELECT 1 /* ; /* ; */ ; */", "SELECT 2"]),
            ("-- nothing\n; /* nothing */; SELECT 1", ["SELECT 1"]),
            (
                "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
                ["CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT 1"],
            ),
            (
                (
                    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END;"
                    " SELECT 2; END; SELECT 3"
                ),
                [
                    (
                        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 "
                        "END; SELECT 2; END"
                    ),
                    "SELECT 3",
                ],
            ),
        ],
    )
    def test_follows_the_servers_lexis(self, text: str, statements: list[str]) -> None:
        assert lexing.split(text) == statements

    @given(st.text(alphabet="ab;'\"$/*-\\E \n()", max_size=60))
    def test_loses_nothing_but_blanks_comments_and_semicolons(self, text: str) -> None:
        joined = "".join(lexing.split(text))
        assert len(joined) <= len(text)
        assert all(part in text for part in lexing.split(text))


class TestMask:
    @pytest.mark.parametrize(
        ("text", "masked"),
        [
            ("ALTER ROLE a PASSWORD 'hush'", "ALTER ROLE a PASSWORD '********'"),
            ("ALTER ROLE a password E'hu\\'sh' VALID", "ALTER ROLE a password '********' VALID"),
            ("ALTER ROLE a PASSWORD $x$hush$x$", "ALTER ROLE a PASSWORD '********'"),
            ("ALTER ROLE a PASSWORD /* x */ 'hush'", "ALTER ROLE a PASSWORD /* x */ '********'"),
            ("ALTER ROLE a PASSWORD U&'hush'", "ALTER ROLE a PASSWORD U&'********'"),
            ("UPDATE u SET password = 'hush'", "UPDATE u SET password = '********'"),
            ("UPDATE u SET password = $1", "UPDATE u SET password = $1"),
            ("SELECT password FROM u", "SELECT password FROM u"),
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=a password=hush user=b' PUBLICATION p",
                "CREATE SUBSCRIPTION s CONNECTION 'host=a password=******** user=b' PUBLICATION p",
            ),
            (
                "SELECT dblink('postgresql://me:hush@host/db')",
                "SELECT dblink('postgresql://me:********@host/db')",
            ),
        ],
    )
    def test_covers_passwords(self, text: str, masked: str) -> None:
        assert masking.mask(text) == masked

    @pytest.mark.parametrize(
        "text",
        [
            "SELECT 1 /* password ' */; DROP TABLE orders; -- '",
            "SELECT 1 -- password '\n; DROP TABLE orders; -- '",
            "SELECT \"password '\"; DROP TABLE orders; -- '",
            "SELECT 'password '' '; DROP TABLE orders; -- '",
            "SELECT 'a\\' password ', 'b'; DROP TABLE orders; -- '",
            "ALTER ROLE a PASSWORD 'a\\'; DROP TABLE orders; --'",
        ],
    )
    def test_never_covers_what_is_run(self, text: str) -> None:
        assert "DROP TABLE orders" in masking.mask(text)

    def test_a_call_compared_with_a_password_is_shown(self):
        text = "SELECT password=pg_terminate_backend(123) FROM users"
        assert masking.mask(text) == text


class TestValues:
    def bound(self, *parameters: bytes | None, formats: tuple[int, ...] = (1,)) -> values.Bound:
        body = b"portal\0statement\0" + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
        body += struct.pack("!H", len(parameters))
        for value in parameters:
            body += struct.pack("!i", -1 if value is None else len(value)) + (value or b"")
        return values.read_bind(body + struct.pack("!H", 0))

    def test_unknown_types_are_shown_as_they_came(self) -> None:
        assert values.as_text(self.bound(b"\x01\x02"), [])[0] == ["\\x0102"]

    def test_a_value_that_is_not_of_its_type_is_shown_as_it_came(self) -> None:
        assert values.as_text(self.bound(b"\x01\x02"), [23])[0] == ["\\x0102"]

    def test_much_is_cut_and_said_to_be(self) -> None:
        told, cut = values.as_text(self.bound(*[b"x" * 900] * 100, formats=(0,)), [])
        assert cut
        assert sum(len(value or "") for value in told) < 40_000

    @pytest.mark.parametrize(
        "body", [b"", b"a\0", b"a\0b\0\x00\x09", b"a\0b\0\0\0\0\x01\0\0\0\x09x"]
    )
    def test_what_is_cut_off_is_refused(self, body: bytes) -> None:
        with pytest.raises(Malformed):
            values.read_bind(body)

    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_or_read(self, body: bytes) -> None:
        with contextlib.suppress(Malformed):
            values.as_text(values.read_bind(body), [16, 20, 23, 701, 2950])


class TestWishes:
    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_or_read(self, body: bytes) -> None:
        with contextlib.suppress(Malformed, wishes.NotLetIn):
            wishes.read(body)


class TestScram:
    @pytest.mark.parametrize("binding", [None, b"hash of a certificate"])
    def test_both_ends_agree(self, binding: bytes | None) -> None:
        verifier = scram.make("a password")
        assert scram.read(str(verifier)) == verifier
        another = scram.make("another", salt=verifier.salt)
        server = scram.Server(verifier.salt, binding=binding)
        client = scram.Client("a password", binding=binding)
        asked = server.first(scram.PLUS if binding else scram.PLAIN, client.first())
        proven, last = server.final(client.final(asked), [another, verifier])
        client.check(last)
        assert proven == verifier

    def test_a_channel_that_somebody_stands_in_is_found_out(self) -> None:
        verifier = scram.make("a password")
        server = scram.Server(verifier.salt, binding=b"ours")
        client = scram.Client("a password", binding=b"theirs")
        told = client.final(server.first(scram.PLUS, client.first()))
        with pytest.raises(scram.Mismatch):
            server.final(told, [verifier])

    def test_a_binding_that_was_taken_off_is_found_out(self) -> None:
        """The client says that it could bind and was not offered to; it was."""
        server = scram.Server(b"salt", binding=b"ours")
        with pytest.raises(scram.Mismatch):
            server.first(scram.PLAIN, b"y,,n=,r=abc")

    def test_a_server_that_does_not_know_the_password_is_found_out(self) -> None:
        client = scram.Client("a password")
        server = scram.Server(b"salt")
        client.final(server.first(scram.PLAIN, client.first()))
        with pytest.raises(scram.Mismatch):
            client.check(b"v=AAAA")

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_nonsense_is_refused(self, first: bytes, last: bytes) -> None:
        server = scram.Server(b"salt")
        with pytest.raises(scram.Mismatch):
            server.first(scram.PLAIN, first)
        with pytest.raises(scram.Mismatch):
            server.final(last, [scram.make("x")])


class TestPlain:
    def test_nothing_moves_the_cursor_of_whoever_replays_it(self) -> None:
        assert plain("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\x202ec\r\nd"


def parse(name: str, text: str) -> bytes:
    return f"{name}\0{text}\0".encode() + struct.pack("!H", 0)


def bind(portal: str, name: str) -> bytes:
    return f"{portal}\0{name}\0".encode() + struct.pack("!HHH", 0, 0, 0)


class TestNames:
    """Whoever gives a name a harmless text must not run another one under it."""

    def tap(self) -> tuple[Tap, MemoryTape]:
        tape = MemoryTape()
        return Tap(tape, database="shop"), tape

    def ask(self, tap: Tap, *messages: tuple[str, bytes]) -> None:
        for kind, body in messages:
            tap.asked(ord(kind), body)

    def answer(self, tap: Tap, *messages: tuple[str, bytes]) -> None:
        for kind, body in messages:
            tap.answered(ord(kind), body)

    def test_a_refused_parse_leaves_the_name_its_text(self) -> None:
        tap, tape = self.tap()
        self.ask(tap, ("P", parse("s", "DROP TABLE orders")), ("S", b""))
        self.answer(tap, ("1", b""), ("Z", b"I"))
        self.ask(tap, ("P", parse("s", "SELECT 1")), ("S", b""))
        self.answer(tap, ("E", b"C42P05\0Mexists already\0\0"), ("Z", b"I"))
        self.ask(tap, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(tap, ("2", b""), ("C", b"DROP TABLE\0"), ("Z", b"I"))
        assert tape.statements[-1]["text"] == "DROP TABLE orders"

    @pytest.mark.parametrize("answered_first", [True, False])
    def test_what_is_skipped_after_an_error_names_nothing(self, answered_first: bool) -> None:
        tap, tape = self.tap()
        self.ask(tap, ("P", parse("s", "DROP TABLE orders")), ("S", b""))
        self.answer(tap, ("1", b""), ("Z", b"I"))
        error = ("E", b"C42601\0Msyntax\0\0")
        self.ask(tap, ("P", parse("", "nonsense")))
        if answered_first:
            self.answer(tap, error)
        self.ask(tap, ("C", b"Ss\0"), ("P", parse("s", "SELECT 1")), ("S", b""))
        if not answered_first:
            self.answer(tap, error)
        self.answer(tap, ("Z", b"I"))
        self.ask(tap, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(tap, ("2", b""), ("C", b"DROP TABLE\0"), ("Z", b"I"))
        assert tape.statements[-1]["text"] == "DROP TABLE orders"

    def test_a_name_that_sql_took_away_is_not_known_any_more(self) -> None:
        tap, tape = self.tap()
        self.ask(tap, ("P", parse("s", "SELECT 1")), ("S", b""))
        self.answer(tap, ("1", b""), ("Z", b"I"))
        self.ask(tap, ("Q", b"DEALLOCATE s; PREPARE s AS DELETE FROM orders\0"))
        self.answer(tap, ("C", b"DEALLOCATE\0"), ("C", b"PREPARE\0"), ("Z", b"I"))
        self.ask(tap, ("B", bind("", "s")), ("E", b"\0" + bytes(4)), ("S", b""))
        self.answer(tap, ("2", b""), ("C", b"DELETE 3\0"), ("Z", b"I"))
        assert tape.statements[-1]["text"] == "EXECUTE s"
        assert "DELETE FROM orders" in tape.texts[1]

    def test_a_portal_that_sql_took_away_is_not_known_any_more(self) -> None:
        tap, tape = self.tap()
        self.ask(tap, ("P", parse("s", "SELECT 1")), ("B", bind("c", "s")), ("S", b""))
        self.answer(tap, ("1", b""), ("2", b""), ("Z", b"T"))
        self.ask(tap, ("Q", b"COMMIT; BEGIN; DECLARE c CURSOR FOR SELECT * FROM salaries\0"))
        tags = (b"COMMIT\0", b"BEGIN\0", b"DECLARE CURSOR\0")
        self.answer(tap, *(("C", tag) for tag in tags), ("Z", b"T"))
        self.ask(tap, ("E", b"c\0" + bytes(4)), ("S", b""))
        self.answer(tap, ("s", b""), ("Z", b"T"))
        assert tape.statements[-1]["text"] == "EXECUTE c"

    def test_there_are_not_endlessly_many(self) -> None:
        tap, _ = self.tap()
        many = [("P", parse(str(number), "SELECT 1")) for number in range(10_000)]
        with pytest.raises(Malformed):
            self.ask(tap, *many)


class TestFraming:
    def test_messages_come_apart_as_they_were_put_together(self) -> None:
        stream = message(b"Q", b"SELECT 1\0") + message(b"S") + message(b"X")
        assert list(framing.messages(stream)) == [(b"Q", b"SELECT 1\0"), (b"S", b""), (b"X", b"")]

"""psycopg 3 through the gateway: everything works as it does directly, and is on the record."""

from __future__ import annotations

import threading
import time
import uuid

import psycopg
import pytest

from tests.sessions.gateways.postgresql.ground import Ground, until


class TestStatements:
    def test_parameters_stand_beside_their_statement(self, ground: Ground) -> None:
        with ground.connect() as connection:
            row = connection.execute(
                "SELECT %s::int + 1, %s::text, %s::uuid IS NULL", [41, "naïve", None]
            ).fetchone()
        assert row == (42, "naïve", True)
        fact = ground.recording.statements[-1]
        assert fact["text"] == "SELECT $1::int + 1, $2::text, $3::uuid IS NULL"
        assert fact["parameters"] == ["41", "naïve", None]
        assert (fact["tag"], fact["rows"], fact["error"]) == ("SELECT 1", 1, "")
        assert fact["ms"] >= 0
        assert fact["bytes"] > 0
        assert b"$2 = 'na\xc3\xafve'" in ground.recording.shown

    def test_binary_parameters_are_read(self, ground: Ground) -> None:
        given = [41, 1.5, True, uuid.UUID(int=7), b"\x00\xff"]
        with ground.connect() as connection:
            row = connection.execute("SELECT %b, %b, %b, %b, %b", given, binary=True).fetchone()
        assert row == tuple(given)
        assert ground.recording.statements[-1]["parameters"] == [
            "41",
            "1.5",
            "true",
            "00000000-0000-0000-0000-000000000007",
            "\\x00ff",
        ]

    def test_a_prepared_one_keeps_its_text(self, ground: Ground) -> None:
        with ground.connect() as connection:
            for number in range(4):
                connection.execute("SELECT %s::int", [number], prepare=True)
        facts = ground.recording.statements
        assert [fact["parameters"] for fact in facts] == [["0"], ["1"], ["2"], ["3"]]
        assert {fact["text"] for fact in facts} == {"SELECT $1::int"}
        assert facts[0]["prepared"].startswith("_pg3_")

    def test_each_of_a_simple_query_is_a_fact(self, ground: Ground) -> None:
        with ground.connect() as connection:
            connection.execute("SELECT 1; INSERT INTO things VALUES (1, ';'); SELECT 'a;b' -- ;")
        assert ground.recording.texts == [
            "SELECT 1",
            "INSERT INTO things VALUES (1, ';')",
            "SELECT 'a;b' -- ;",
        ]
        assert [fact["tag"] for fact in ground.recording.statements] == [
            "SELECT 1",
            "INSERT 0 1",
            "SELECT 1",
        ]

    def test_what_an_error_kept_from_running_is_said(self, ground: Ground) -> None:
        with ground.connect() as connection, pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1; SELECT 1/0; SELECT 3")
        errors = [fact["error"] for fact in ground.recording.statements]
        assert errors == ["", "22012 division by zero", "not run: an earlier one failed"]

    def test_an_error_is_on_the_record(self, ground: Ground) -> None:
        with ground.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM nowhere WHERE id = %s", [1])
        fact = ground.recording.statements[-1]
        assert fact["text"] == "SELECT * FROM nowhere WHERE id = $1"
        assert fact["error"].startswith("42P01")
        assert b"42P01" in ground.recording.shown

    def test_a_value_of_3_mb_arrives(self, ground: Ground) -> None:
        value = "x" * 3_000_000
        with ground.connect() as connection:
            row = connection.execute("SELECT length(%s::text), %s::text", [value, value]).fetchone()
        assert row == (3_000_000, value)
        fact = ground.recording.statements[-1]
        assert fact["parameters_cut"] is True
        assert all(len(parameter) < 2_000 for parameter in fact["parameters"])

    def test_passwords_are_masked(self, ground: Ground) -> None:
        with ground.connect() as connection:
            connection.execute("ALTER ROLE shop_writer PASSWORD 'hush-hush'")
        assert "hush-hush" not in str(ground.recording.facts)
        assert b"hush-hush" not in ground.recording.shown
        assert ground.recording.texts[-1] == "ALTER ROLE shop_writer PASSWORD '********'"

    def test_the_role_makes_things_that_belong_to_the_targets_role(self, ground: Ground) -> None:
        with ground.connect() as connection:
            row = connection.execute("SELECT current_user, session_user").fetchone()
        assert row == ("shop_writer", ground.role)


class TestPipeline:
    def test_each_is_a_fact(self, ground: Ground) -> None:
        with ground.connect() as connection, connection.pipeline():
            for number in range(5):
                connection.execute("INSERT INTO things VALUES (%s, 'x')", [number])
        assert len(ground.recording.statements) == 5
        assert [fact["parameters"] for fact in ground.recording.statements] == [
            [str(number)] for number in range(5)
        ]

    def test_an_error_in_it_and_what_was_skipped(self, ground: Ground) -> None:
        with ground.connect() as connection:
            asked = [
                ("SELECT 1 WHERE %s", True),
                ("SELECT 1 / %s::int", 0),
                ("SELECT 3 WHERE %s", True),
            ]
            with pytest.raises(psycopg.errors.DivisionByZero), connection.pipeline():
                [connection.execute(text, [value]) for text, value in asked]
            assert connection.execute("SELECT 'after'").fetchone() == ("after",)
        said = [(fact["text"], fact["error"]) for fact in ground.recording.statements]
        assert said == [
            ("SELECT 1 WHERE $1", ""),
            ("SELECT 1 / $1::int", "22012 division by zero"),
            ("SELECT 3 WHERE $1", "not run: an earlier one failed"),
            ("SELECT 'after'", ""),
        ]


class TestCopy:
    def test_in_and_out_are_counted(self, ground: Ground) -> None:
        with ground.connect() as connection:
            cursor = connection.cursor()
            with cursor.copy("COPY things FROM STDIN") as copy:
                for number in range(50_000):
                    copy.write_row((number, "thing"))
            with cursor.copy("COPY things TO STDOUT") as copy:
                assert sum(1 for _ in copy.rows()) == 50_000
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (50_000,)
        into, out, _ = ground.recording.statements
        assert (into["copy"], into["tag"], into["rows"]) == ("in", "COPY 50000", 50_000)
        assert (out["copy"], out["rows"]) == ("out", 50_000)
        assert into["bytes"] == out["bytes"] > 500_000

    def test_one_that_fails_leaves_the_session_usable(self, ground: Ground) -> None:
        with ground.connect() as connection:
            cursor = connection.cursor()
            with (
                pytest.raises(psycopg.errors.InvalidTextRepresentation),
                cursor.copy("COPY things FROM STDIN WHERE id > %s", [1]) as copy,
            ):
                copy.write(b"no number\tx\n")
            assert connection.execute("SELECT %s::int", [7]).fetchone() == (7,)
        assert ground.recording.statements[0]["error"].startswith("22P02")
        assert ground.recording.statements[-1]["parameters"] == ["7"]


class TestCursors:
    def test_each_fetch_is_a_fact(self, ground: Ground) -> None:
        with (
            ground.connect() as connection,
            connection.transaction(),
            connection.cursor("peek") as cursor,
        ):
            cursor.execute("SELECT generate_series(1, 250)")
            cursor.itersize = 100
            assert sum(1 for _ in cursor) == 250
        texts = ground.recording.texts
        assert texts[0] == "BEGIN"
        assert texts[1].startswith('DECLARE "peek"')
        assert sum(text.startswith("FETCH FORWARD 100") for text in texts) == 3
        assert texts[-1] == "COMMIT"


class TestNotify:
    def test_what_others_say_arrives(self, ground: Ground) -> None:
        with ground.connect() as listener, ground.connect() as speaker:
            listener.execute("LISTEN orders")
            speaker.execute("NOTIFY orders, 'hello'")
            heard = next(listener.notifies(timeout=10))
        assert (heard.channel, heard.payload) == ("orders", "hello")


class TestCancel:
    def test_reaches_the_right_backend(self, ground: Ground) -> None:
        with ground.connect() as connection, ground.connect() as other:
            timer = threading.Timer(0.2, connection.cancel_safe)
            timer.start()
            began = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(20)")
            assert time.monotonic() - began < 5
            timer.join()
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert other.execute("SELECT 1").fetchone() == (1,)
        assert {"kind": "cancel"} in ground.broker.visits[0].recording.facts


class TestLeaving:
    def test_ends_the_backend(self, ground: Ground) -> None:
        connection = ground.connect()
        assert ground.backends() == 1
        connection.close()
        assert until(lambda: ground.backends() == 0)
        assert ground.closed() == "logout"

    def test_in_the_middle_of_a_query_too(self, ground: Ground) -> None:
        connection = ground.connect()
        connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        assert until(lambda: len(ground.recording.shown) > 0)
        connection.close()
        assert until(lambda: ground.backends() == 0, seconds=3)

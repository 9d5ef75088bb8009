"""asyncpg and pg8000, which speak the protocol themselves."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import io
import ssl
from collections.abc import Awaitable, Callable

import asyncpg
import pg8000.dbapi
import pytest

from tests.sessions.gateways.postgresql.ground import Ground


def context(ground: Ground) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ground.authority)


def visit[Answer](
    ground: Ground, todo: Callable[[asyncpg.Connection], Awaitable[Answer]]
) -> Answer:
    async def go() -> Answer:
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=ground.port,
            user="jit_writer",
            password=ground.broker.password_for("jit_writer"),
            database="shop",
            ssl=context(ground),
        )
        try:
            return await todo(connection)
        finally:
            await connection.close()

    return asyncio.run(go())


class TestAsyncpg:
    def test_binary_parameters_are_read_by_their_described_types(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            row = await connection.fetchrow(
                "SELECT $1::int8 + 1, $2::text, $3::float8, $4::bool", 41, "naïve", 0.5, False
            )
            assert tuple(row) == (42, "naïve", 0.5, False)

        visit(ground, todo)
        fact = ground.recording.statements[-1]
        assert fact["parameters"] == ["41", "naïve", "0.5", "false"]
        assert fact["rows"] == 1

    def test_what_programs_send_in_binary_is_readable(self, ground: Ground) -> None:
        at = dt.datetime(2026, 11, 28, 22, 33, 44, 560000, tzinfo=dt.UTC)

        async def todo(connection: asyncpg.Connection) -> None:
            await connection.fetchrow(
                "SELECT $1::jsonb, $2::numeric, $3::timestamptz, $4::date, $5::int[], $6::text[]",
                '{"k": [1, 2]}',
                decimal.Decimal("-12.340"),
                at,
                at.date(),
                [1, None],
                ["a", "b c"],
            )

        visit(ground, todo)
        assert ground.recording.statements[-1]["parameters"] == [
            '{"k": [1, 2]}',
            "-12.340",
            "2026-11-28 22:33:44.56+00",
            "2026-11-28",
            "{1,NULL}",
            '{a,"b c"}',
        ]

    def test_one_statement_prepared_once_and_run_often(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            statement = await connection.prepare("SELECT $1::int * 2")
            assert [await statement.fetchval(number) for number in range(3)] == [0, 2, 4]

        visit(ground, todo)
        facts = [fact for fact in ground.recording.statements if "* 2" in fact["text"]]
        assert [fact["parameters"] for fact in facts] == [["0"], ["1"], ["2"]]

    def test_executemany_is_a_fact_each(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            rows = [(number, f"thing {number}") for number in range(500)]
            await connection.executemany("INSERT INTO things VALUES ($1, $2)", rows)
            assert await connection.fetchval("SELECT count(*) FROM things") == 500

        visit(ground, todo)
        facts = [fact for fact in ground.recording.statements if fact["text"].startswith("INSERT")]
        assert [fact["parameters"][0] for fact in facts] == [str(n) for n in range(500)]

    def test_copies(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            rows = [(number, "thing") for number in range(1_000)]
            await connection.copy_records_to_table("things", records=rows)
            out = io.BytesIO()
            await connection.copy_from_query("SELECT * FROM things", output=out)
            assert out.getvalue().count(b"\n") == 1_000

        visit(ground, todo)
        copies = [fact for fact in ground.recording.statements if "copy" in fact]
        assert [(fact["copy"], fact["rows"]) for fact in copies] == [("in", 1_000), ("out", 1_000)]

    def test_each_portion_of_a_cursor_is_a_fact(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            async with connection.transaction():
                cursor = connection.cursor("SELECT generate_series(1, $1::int)", 25, prefetch=10)
                assert [row[0] async for row in cursor] == list(range(1, 26))

        visit(ground, todo)
        facts = [fact for fact in ground.recording.statements if "generate_series" in fact["text"]]
        assert [(fact["tag"], fact["rows"]) for fact in facts] == [
            ("PORTAL SUSPENDED", 10),
            ("PORTAL SUSPENDED", 10),
            ("SELECT 5", 5),
        ]
        assert {fact["portal"] for fact in facts} != {""}

    def test_errors_come_through(self, ground: Ground) -> None:
        async def todo(connection: asyncpg.Connection) -> None:
            with pytest.raises(asyncpg.UniqueViolationError) as caught:
                await connection.execute(
                    "CREATE TEMPORARY TABLE one (id int PRIMARY KEY);"
                    "INSERT INTO one VALUES (1), (1)"
                )
            assert caught.value.sqlstate == "23505"

        visit(ground, todo)
        assert ground.recording.statements[-1]["error"].startswith("23505")


class TestPg8000:
    def test_works(self, ground: Ground) -> None:
        connection = pg8000.dbapi.connect(
            host="127.0.0.1",
            port=ground.port,
            user="jit_writer",
            password=ground.broker.password_for("jit_writer"),
            database="shop",
            ssl_context=context(ground),
        )
        cursor = connection.cursor()
        cursor.execute("SELECT %s::int, %s::text", (41, "naïve"))
        assert cursor.fetchone() == [41, "naïve"]
        cursor.execute("INSERT INTO things VALUES (%s, %s)", (1, "one"))
        connection.commit()
        with pytest.raises(pg8000.dbapi.DatabaseError):
            cursor.execute("SELECT * FROM nowhere")
        connection.close()
        assert [fact["tag"] for fact in ground.recording.statements if fact["tag"]] == [
            "BEGIN",
            "SELECT 1",
            "INSERT 0 1",
            "COMMIT",
            "BEGIN",
        ]

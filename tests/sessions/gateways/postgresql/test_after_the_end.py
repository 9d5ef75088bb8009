"""What a session had under way, or keeps in its hands, does nothing more once it has ended."""

from __future__ import annotations

import struct
import threading
from typing import Any

import psycopg
import pytest

from sessions.gateways.postgresql.protocol import scram
from tests.sessions.gateways.postgresql.ground import Ground, until
from tests.sessions.gateways.postgresql.raw import Raw
from tests.sessions.gateways.postgresql.test_endings import SAID, _active, end_soon, live

CANCEL_REQUEST = 80877102
"""The code of CancelRequest (PostgreSQL's protocol, message formats)."""


def rows_of(ground: Ground, name: str) -> int:
    with ground.root() as root:
        row = root.execute("SELECT count(*) FROM things WHERE name = %s", [name]).fetchone()
    assert row
    return int(row[0])


def end_now(ground: Ground) -> None:
    running = live(ground).live
    assert running
    ground.run(running.end("revoked", SAID))


def copy_for_ever(cursor: psycopg.Cursor[Any]) -> None:
    with cursor.copy("COPY things FROM STDIN") as copy:
        while True:
            copy.write_row((1, "copied"))


def send_ahead(connection: psycopg.Connection[Any]) -> None:
    with connection.pipeline():
        connection.execute("SELECT pg_sleep(60)")
        for _ in range(50):
            connection.execute("INSERT INTO things VALUES (1, 'ahead')")


def test_rows_that_a_copy_brings_after_the_end_are_not_written(ground: Ground) -> None:
    with ground.connect() as connection, connection.cursor() as cursor:
        thread = end_soon(ground)
        with pytest.raises(psycopg.OperationalError):
            copy_for_ever(cursor)
        thread.join()
    assert until(lambda: ground.backends() == 0, seconds=5)
    assert rows_of(ground, "copied") == 0


def test_a_copy_that_streams_out_stops_with_the_session(ground: Ground) -> None:
    with ground.connect() as connection, connection.cursor() as cursor:
        thread = end_soon(ground)
        endless = "COPY (SELECT repeat('x', 100) FROM generate_series(1, 1000000000)) TO STDOUT"
        with pytest.raises(psycopg.OperationalError), cursor.copy(endless) as copy:
            for _ in copy:
                pass
        thread.join()
    assert until(lambda: ground.backends() == 0, seconds=5)
    assert ground.closed() == "expired"


def test_a_pipeline_that_was_sent_ahead_does_not_run_on(ground: Ground) -> None:
    """The statements behind the running one were at the gateway before the end."""
    with ground.connect() as connection:
        thread = end_soon(ground)
        with pytest.raises(psycopg.OperationalError):
            send_ahead(connection)
        thread.join()
    assert until(lambda: ground.backends() == 0, seconds=5)
    assert rows_of(ground, "ahead") == 0


def test_a_key_to_cancel_does_nothing_once_its_session_has_ended(ground: Ground) -> None:
    with Raw(ground) as client:
        old = key_of(ground, client)
        end_now(ground)
        assert client.is_shut()
    assert until(lambda: ground.backends() == 0, seconds=5)
    told: list[object] = []
    with ground.connect() as connection:
        connection.execute("CREATE TEMP TABLE t AS SELECT generate_series(1, 100)")

        def ask() -> None:
            answer = connection.execute("SELECT count(pg_sleep(0.01)) FROM t")
            told.append(answer.fetchone())

        asking = threading.Thread(target=ask)
        asking.start()
        assert until(lambda: _active(ground) == 1)
        for _ in range(3):
            with Raw(ground) as stranger:
                stranger.say(struct.pack("!II", 8 + len(old), CANCEL_REQUEST) + old)
                assert stranger.is_shut()
        asking.join(30)
    assert told == [(100,)]


def key_of(ground: Ground, client: Raw) -> bytes:
    """Log in, and return what a request to cancel must bear."""
    proof = scram.ScramClient(ground.broker.password_for("jit_writer"))
    client.startup({"user": "jit_writer", "database": "shop"})
    client.send_sasl(proof.first().decode())
    client.send(b"p", proof.final(client.until(b"R")[-1][4:]))
    proof.check(client.until(b"R")[-1][4:])
    key = client.until(b"K")[-1]
    client.until(b"Z")
    return key

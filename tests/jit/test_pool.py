"""The pool of connections to our own database: what it hands out is alive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from jit import pool
from tests.support import servers


@pytest.fixture
def superuser() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(servers.ensure()["superuser"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def kept() -> Iterator[ConnectionPool[Any]]:
    """A pool with eight idle connections."""
    options = {**pool.options(8), "min_size": 8}
    kwargs = {"autocommit": True, "application_name": "test-pool"}
    with ConnectionPool(servers.ensure()["superuser"], kwargs=kwargs, open=False, **options) as it:
        it.wait()
        yield it


class TestPool:
    def test_hands_out_no_dead_connection_after_all_of_them_died(self, kept, superuser) -> None:
        superuser.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'test-pool'"
        )
        for _ in range(8):  # Looked at one after the other, the third would cost a second's pause.
            with kept.connection(timeout=5) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)

    def test_connects_again_soon_however_long_the_database_was_away(self) -> None:
        attempts = pool.options(2)["reconnect_timeout"]
        assert attempts <= 5  # psycopg_pool's pauses double for as long.


class TestPatient:
    def test_gives_up_a_server_that_does_not_answer(self) -> None:
        with pool.Patient.connect(servers.ensure()["superuser"], autocommit=True) as connection:
            connection.answers_within = 0.2
            with pytest.raises(psycopg.OperationalError, match="did not answer within"):
                connection.execute("SELECT pg_sleep(30)")
            assert connection.closed

    def test_waits_for_what_takes_its_time(self) -> None:
        with pool.Patient.connect(servers.ensure()["superuser"], autocommit=True) as connection:
            begun = time.monotonic()
            connection.execute("SELECT pg_sleep(0.3)")
            assert time.monotonic() - begun >= 0.3

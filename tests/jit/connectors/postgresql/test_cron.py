"""Jobs of a real pg_cron that a person leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psycopg
import pytest

from jit.ops.embedded import ground as system
from tests.contracts.postgresql import PostgreSQLGround, set_up
from tests.jit.connectors.postgresql.test_traces import end, keeper_on
from tests.support import guardian, servers

SCHEDULE = "SELECT cron.schedule('nightly', '0 3 * * *', 'DELETE FROM salaries')"


@pytest.fixture(scope="module")
def target() -> Iterator[servers.Target]:
    """A cluster of its own, since a server loads pg_cron when it starts."""
    home = system.throw_away_home()
    cluster = guardian.cluster(home, "15", home / "log")
    cluster.settings = {
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "max_prepared_transactions": "8",
    }
    try:
        cluster.start()
        made = servers.Target(cluster.host, cluster.port, "postgres", cluster.password)
        set_up(made, "15")
        with psycopg.connect(made.dsn(), autocommit=True) as root:
            root.execute("CREATE EXTENSION pg_cron")
        yield made
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def own(target: servers.Target) -> Iterator[PostgreSQLGround]:
    made = PostgreSQLGround("15", target=target)
    made.reset()
    with keeper_on(made):
        made.root.execute("GRANT USAGE ON SCHEMA cron TO keeper")
        yield made
        made.root.execute("DELETE FROM cron.job")
    made.reset()
    made.close()


def test_says_that_nobody_knows_whose_jobs_there_are_where_each_sees_its_own(
    own: PostgreSQLGround,
) -> None:
    evidence = end(own, SCHEDULE)
    assert evidence["suspicious"] == []
    said = "whether keeper has jobs of pg_cron in postgres: only its own are shown"
    assert evidence["not_known"] == [said]


def test_names_a_job_that_was_left_behind(own: PostgreSQLGround) -> None:
    for statement in (
        "GRANT USAGE ON SCHEMA cron TO elevation_service",
        "CREATE POLICY elevation ON cron.job FOR SELECT TO elevation_service USING (true)",
    ):
        own.root.execute(statement)
    try:
        evidence = end(own, SCHEDULE)
        said = "pg_cron job {} (0 3 * * *): DELETE FROM salaries of keeper in postgres"
        (number,) = own.root.execute("SELECT jobid FROM cron.job").fetchone()
        assert evidence["suspicious"] == [said.format(number)]
        assert "not_known" not in evidence
        assert end(own)["suspicious"] == []  # of an earlier grant
    finally:
        own.root.execute("DROP POLICY elevation ON cron.job")
        own.root.execute("REVOKE USAGE ON SCHEMA cron FROM elevation_service")

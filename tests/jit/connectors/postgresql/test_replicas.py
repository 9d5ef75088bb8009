"""What a standby still lets people do after the primary has forgotten them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from jit.connectors.base import Context, Revoked, Unreachable
from jit.connectors.postgresql import PostgreSQL
from tests.contracts.ground import until
from tests.contracts.postgresql import PostgreSQLGround, prepared
from tests.support.standby import Standby, standby_of


@pytest.fixture(scope="module", params=["18", "15"])
def followed(request) -> Iterator[tuple[str, Standby]]:
    with standby_of(prepared(request.param), request.param) as standby:
        yield request.param, standby


@pytest.fixture
def standby(followed) -> Standby:
    return followed[1]


@pytest.fixture
def ground(followed) -> Iterator[PostgreSQLGround]:
    made = PostgreSQLGround(followed[0])
    made.reset()
    yield made
    made.reset()
    made.close()


def naming(ground: PostgreSQLGround, standby: Standby, **context: Any) -> PostgreSQL:
    replicas = [{"host": standby.host, "port": standby.port}]
    return ground.connector(Context(**context), replicas=replicas)


def log_in(standby: Standby, credential: Any) -> psycopg.Connection:
    """Return the person's session on the standby, once it has repeated that they may have one."""
    made: list[psycopg.Connection] = []

    def let_in() -> bool:
        try:
            made.append(
                psycopg.connect(
                    host=standby.host,
                    port=standby.port,
                    dbname="postgres",
                    user=credential["user"],
                    password=credential["password"],
                    options=credential.get("options", ""),
                    autocommit=True,
                )
            )
        except psycopg.OperationalError:
            return False
        return True

    assert until(let_in, seconds=10)
    return made[0]


def reads(session: psycopg.Connection) -> bool:
    try:
        return session.execute("SELECT current_user").fetchone() == ("app_rw",)
    except psycopg.Error:
        return False


@contextmanager
def held_back(standby: Standby) -> Iterator[None]:
    """Keep the standby from repeating anything."""
    with psycopg.connect(standby.dsn(), autocommit=True) as root:
        root.execute("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        assert until(lambda: root.execute(paused).fetchone() == (True,))
        try:
            yield
        finally:
            root.execute("SELECT pg_wal_replay_resume()")


class TestCut:
    def test_a_session_on_a_standby_does_not_outlive_the_grant(self, ground, standby):
        spec, other = ground.spec(), ground.spec()
        with closing(naming(ground, standby)) as connector:
            issued = connector.provision(spec)
            theirs = connector.provision(other)
            with (
                closing(log_in(standby, issued.credential)) as session,
                closing(log_in(standby, theirs.credential)) as not_ended,
            ):
                assert reads(session)
                (answer,) = connector.revoke([spec])
                assert not reads(session)
                assert reads(not_ended)
        assert isinstance(answer, Revoked), answer
        where = f"{standby.host}:{standby.port}"
        found = {"connections_cut": 1, "connections_found": 0}
        assert answer.evidence["standbys"] == {where: found}
        assert not [said for said in answer.evidence["not_looked_at"] if "standby" in said]

    def test_no_end_is_proven_while_a_standby_still_lets_people_in(self, ground, standby):
        spec = ground.spec()
        with closing(naming(ground, standby, timeout_seconds=2)) as connector:
            issued = connector.provision(spec)
            with closing(log_in(standby, issued.credential)) as session:
                with held_back(standby):
                    (answer,) = connector.revoke([spec])
                    assert not reads(session)
                    slipped_in = log_in(standby, issued.credential)
                    assert reads(slipped_in)
                assert isinstance(answer, Unreachable), answer
                assert "bytes behind" in answer.detail
                with closing(slipped_in):
                    (answer,) = connector.revoke([replace(spec, earlier=answer.evidence)])
                    assert not reads(slipped_in)
        assert isinstance(answer, Revoked), answer

    def test_no_end_is_proven_while_a_standby_that_is_named_is_out_of_reach(self, ground):
        spec = ground.spec()
        nobody = [{"host": "127.0.0.1", "port": 1}]
        with closing(ground.connector(replicas=nobody)) as connector:
            connector.provision(spec)
            (answer,) = connector.revoke([spec])
        assert isinstance(answer, Unreachable), answer
        assert "standby 127.0.0.1:1" in answer.detail
        with closing(ground.connector()) as connector:
            (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked), answer

    def test_one_that_is_no_standby_proves_nothing(self, ground):
        spec = ground.spec()
        itself = [{"host": ground.target.host, "port": ground.target.port}]
        with closing(ground.connector(replicas=itself)) as connector:
            connector.provision(spec)
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Unreachable), answer
            assert "it is no standby" in answer.detail
            assert "it is no standby" in connector.health().detail

    def test_a_standby_that_nobody_named_is_said_to_be_not_looked_at(self, ground, standby):
        spec = ground.spec()
        with closing(ground.connector()) as connector:
            connector.provision(spec)
            (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked), answer
        said = "1 standby follows this server and is not named under replicas"
        assert said in answer.evidence["not_looked_at"]
        assert "standbys" not in answer.evidence


class TestTerminate:
    def test_cuts_there_too(self, ground, standby):
        spec = ground.spec()
        with closing(naming(ground, standby)) as connector:
            issued = connector.provision(spec)
            with closing(log_in(standby, issued.credential)) as session:
                assert connector.cut(spec) == 1
                assert until(lambda: not reads(session))
            connector.revoke([spec])


class TestChecks:
    def test_warns_of_a_standby_that_nobody_named(self, ground, standby):
        with closing(ground.connector()) as connector:
            report = connector.health()
        assert report.ok
        assert "1 standby follows this server" in report.detail
        with closing(naming(ground, standby)) as connector:
            assert connector.health().detail == "all is well"

    def test_one_that_is_out_of_reach_is_not_ok(self, ground):
        with closing(ground.connector(replicas=[{"host": "127.0.0.1", "port": 1}])) as connector:
            report = connector.health()
        assert not report.ok
        assert "standby 127.0.0.1:1" in report.detail

"""PgBouncer between people and target: what an end does there, as connect-postgresql.md says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import psycopg
import pytest

from jit.connectors.base import Revoked
from tests.contracts.ground import until
from tests.contracts.postgresql import PostgreSQLGround, PsqlSession
from tests.support import pgbouncer
from tests.support.pgbouncer import Pooler

MODES = ["session", "transaction"]


class Pooled(PsqlSession):
    """A session through the pooler, in which every statement is a transaction."""

    def works(self) -> bool:
        try:
            self.connection.execute("SELECT session_user")
        except psycopg.Error:
            return False
        return True


@pytest.fixture(params=MODES)
def pooler(ground: PostgreSQLGround, request: pytest.FixtureRequest) -> Iterator[Pooler]:
    with pgbouncer.before(ground.target, mode=request.param) as running:
        yield running


def log_in(pooler: Pooler, credential: Mapping[str, str]) -> Pooled | None:
    told: dict[str, Any] = {"host": pooler.host, "port": pooler.port, "connect_timeout": 10}
    try:
        connection = psycopg.connect(
            **told,
            dbname=credential["database"],
            user=credential["user"],
            password=credential["password"],
            autocommit=True,
            prepare_threshold=None,
        )
    except psycopg.OperationalError:
        return None
    session = Pooled(connection)
    if session.works():
        return session
    session.close()
    return None


def kept_by_the_pooler(ground: PostgreSQLGround, name: str) -> int:
    """Return how many connections there are at the target under this role."""
    asked = "SELECT count(*)::int FROM pg_stat_activity WHERE usename = %s"
    (count,) = ground.root.execute(asked, [name]).fetchone()
    return int(count)


def test_an_end_cuts_what_a_pooler_keeps_and_lets_nobody_in_by_it(
    ground: PostgreSQLGround, connector: Any, pooler: Pooler
) -> None:
    spec = ground.spec()
    credential = connector.provision(spec).credential
    session = log_in(pooler, credential)
    assert session, pooler.log()
    with closing(session):
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["connections_cut"] == 1
        assert answer.evidence["connections_found"] == 0
        assert not session.works()
    assert log_in(pooler, credential) is None
    assert kept_by_the_pooler(ground, spec.external_name) == 0


def test_a_kept_connection_does_not_outlive_the_grant_of_who_left(
    ground: PostgreSQLGround, connector: Any, pooler: Pooler
) -> None:
    """The person has gone, and the pooler keeps their connection for whoever comes next."""
    spec = ground.spec()
    session = log_in(pooler, connector.provision(spec).credential)
    assert session, pooler.log()
    session.close()
    assert kept_by_the_pooler(ground, spec.external_name) == 1
    (answer,) = connector.revoke([spec])
    assert isinstance(answer, Revoked), answer
    assert answer.evidence["connections_cut"] == 1
    assert kept_by_the_pooler(ground, spec.external_name) == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("auth_query", "lets_in"),
    [(pgbouncer.ASKS_FOR_THE_DEADLINE, False), (pgbouncer.ASKS_FOR_THE_PASSWORD, True)],
    ids=["asks for the deadline", "asks for the password"],
)
def test_past_its_deadline_a_pooler_lets_in_as_its_auth_query_says(
    ground: PostgreSQLGround, connector: Any, mode: str, auth_query: str, lets_in: bool
) -> None:
    """The target's deadline is asked for at the pooler's log-ins, and it keeps a connection."""
    with pgbouncer.before(ground.target, mode=mode, auth_query=auth_query) as pooler:
        spec = ground.spec(seconds=8)
        credential = connector.provision(spec).credential
        first = log_in(pooler, credential)
        assert first, pooler.log()
        first.close()
        assert until(lambda: not ground.lets_in(credential), seconds=30)
        late = log_in(pooler, credential)
        assert (late is not None) is lets_in, pooler.log()
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["connections_cut"] == 1
        if late:
            assert not late.works()
            late.close()
        assert log_in(pooler, credential) is None

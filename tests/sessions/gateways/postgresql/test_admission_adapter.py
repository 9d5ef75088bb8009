"""The gateway with the books, the recorder and the connector behind it."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.identity.permissions import Permission
from jit.kernel import clock, db
from jit.workflow import credential
from sessions import queries
from sessions.models import AccessSession
from sessions.operations import cutting, tokens
from tests.contracts.postgresql import prepared
from tests.support import people
from tests.support.postgresql_gateway import RunningGateway, backends, gateway_in, make_target
from tests.support.processes import until
from tests.support.ssh_gateway import closed_session, events_of, facts_of, hold, output_of


@pytest.fixture
def version(request: pytest.FixtureRequest) -> str:
    """PostgreSQL 18, and 15 beside it for those that say so."""
    return str(getattr(request, "param", "18"))


both = pytest.mark.parametrize("version", ["18", "15"], indirect=True)


@pytest.fixture
def writer(version: str, transactional_db: None, tmp_path: Path) -> Role:
    people.group("sre-managers")
    return make_target(version, tmp_path)


@pytest.fixture
def gateway(writer: Role, tmp_path: Path) -> Iterator[RunningGateway]:
    with gateway_in(tmp_path) as running:
        yield running


def together(
    visits: Sequence[Callable[[], psycopg.Connection[Any]]],
) -> tuple[list[psycopg.Connection[Any]], list[psycopg.Error]]:
    """Log in by all of these at one instant; return who came in (and left) and who was refused."""
    came: list[psycopg.Connection[Any]] = []
    refused: list[psycopg.Error] = []
    gate = threading.Barrier(len(visits))

    def come(visit: Callable[[], psycopg.Connection[Any]]) -> None:
        gate.wait(30)
        try:
            came.append(visit())
        except psycopg.OperationalError as error:
            refused.append(error)

    threads = [threading.Thread(target=come, args=[visit]) for visit in visits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in came:
        connection.close()
    return came, refused


def live_session() -> AccessSession:
    return until(lambda: AccessSession.objects.filter(state="LIVE").first())


class TestSession:
    @both
    def test_is_on_record_from_the_password_to_the_last_statement(
        self, gateway: RunningGateway, writer: Role
    ):
        grant = hold(writer, record="required")
        offered = gateway.offer(grant)
        with gateway.connect(offered, application_name="report") as connection:
            row = connection.execute("SELECT current_user, session_user").fetchone()
            assert row == ("app_rw", grant.external_name)
            connection.execute("INSERT INTO orders VALUES (%s)", [7])
            session = live_session()
            assert (session.door, session.proof, session.client) == (
                "postgresql",
                "token",
                "report",
            )
            assert session.source_address == "127.0.0.1"
        session = closed_session()
        assert session.closed_because == "logout"
        events = events_of(gateway, session)
        facts = facts_of(events, "statement")
        assert [fact["text"] for fact in facts] == [
            "SELECT current_user, session_user",
            "INSERT INTO orders VALUES ($1)",
        ]
        assert facts[1]["parameters"] == ["7"]
        assert "INSERT INTO orders" in output_of(events)

    def test_takes_a_password_once(self, gateway: RunningGateway, writer: Role):
        offered = gateway.offer(hold(writer))
        gateway.connect(offered).close()
        with pytest.raises(psycopg.OperationalError, match="for one log-in only"):
            gateway.connect(offered)
        assert AccessSession.objects.count() == 1

    def test_one_password_opens_one_of_twelve_at_once(self, gateway: RunningGateway, writer: Role):
        grant = hold(writer)
        for _ in range(3):
            came, refused = together([partial(gateway.connect, gateway.offer(grant))] * 12)
            assert (len(came), len(refused)) == (1, 11)
            assert all("for one log-in only" in str(each).replace("\n", " ") for each in refused)

    def test_a_pool_that_asks_for_a_password_each_gets_all_its_connections(
        self, gateway: RunningGateway, writer: Role
    ):
        grant = hold(writer)
        offers = [gateway.offer(grant) for _ in range(4)]
        came, refused = together([partial(gateway.connect, offered) for offered in offers])
        assert (len(came), refused) == (4, [])

    def test_of_many_passwords_the_oldest_die(self, gateway: RunningGateway, writer: Role):
        grant = hold(writer)
        offers = [gateway.offer(grant) for _ in range(tokens.KNOWN + 1)]
        with pytest.raises(psycopg.OperationalError, match="Nothing opens"):
            gateway.connect(offers[0])
        gateway.connect(offers[1]).close()
        with pytest.raises(psycopg.OperationalError, match="it was used"):
            gateway.connect(offers[1])

    def test_with_a_used_password_after_the_end_is_told_of_the_end(
        self, gateway: RunningGateway, writer: Role
    ):
        """Not to fetch a fresh one: there is none any more."""
        grant = hold(writer)
        offered = gateway.offer(grant)
        gateway.connect(offered).close()
        Grant.objects.filter(pk=grant.pk).update(ends_at=db.now())
        with pytest.raises(psycopg.OperationalError, match="has ended") as caught:
            gateway.connect(offered)
        assert "fresh one" not in str(caught.value)

    def test_that_is_refused_leaves_no_trace_of_a_fault_in_the_log(
        self, gateway: RunningGateway, writer: Role, caplog: pytest.LogCaptureFixture
    ):
        grant = hold(writer)
        offered = gateway.offer(grant)
        gateway.connect(offered).close()
        with pytest.raises(psycopg.OperationalError):
            gateway.connect(offered)
        with pytest.raises(psycopg.OperationalError):
            gateway.connect(offered | {"password": "wrong"})
        with pytest.raises(psycopg.OperationalError):
            gateway.connect(gateway.offer(grant) | {"database": "attic"})
        Grant.objects.filter(pk=grant.pk).update(ends_at=db.now())
        with pytest.raises(psycopg.OperationalError):
            gateway.connect(offered)
        until(lambda: not AccessSession.objects.exclude(state="CLOSED").exists())
        loud = [each for each in caplog.records if each.levelno > logging.INFO or each.exc_info]
        assert loud == []

    def test_may_name_the_grants_id(self, gateway: RunningGateway, writer: Role):
        grant = hold(writer)
        offered = gateway.offer(grant) | {"user": str(grant.pk)}
        gateway.connect(offered).close()

    def test_of_a_grant_that_is_over_is_refused(self, gateway: RunningGateway, writer: Role):
        grant = hold(writer)
        offered = gateway.offer(grant)
        Grant.objects.filter(pk=grant.pk).update(ends_at=db.now())
        with pytest.raises(psycopg.OperationalError) as caught:
            gateway.connect(offered)
        assert "orders-db-writer" in str(caught.value)
        assert not AccessSession.objects.exists()

    def test_of_somebody_who_left_is_refused(self, gateway: RunningGateway, writer: Role):
        grant = hold(writer)
        offered = gateway.offer(grant)
        now = clock.now()
        type(grant.user).objects.update(is_active=False, disabled_at=now)
        with pytest.raises(psycopg.OperationalError, match="Nothing opens"):
            gateway.connect(offered)

    def test_with_a_target_that_is_down_is_closed_again(
        self, gateway: RunningGateway, writer: Role
    ):
        grant = hold(writer)
        gateway.connect(gateway.offer(grant)).close()
        target = writer.target
        target.config["port"] = 1
        target.save()
        with pytest.raises(psycopg.OperationalError, match="orders-db did not take the connection"):
            gateway.connect(gateway.offer(grant))
        session = closed_session()
        assert session.closed_because == "lost"
        assert "orders-db did not take" in session.closed_comment


class TestEnd:
    @both
    def test_comes_with_the_grants(self, gateway: RunningGateway, writer: Role, version: str):
        grant = hold(writer, seconds=3)
        with (
            gateway.connect(gateway.offer(grant)) as connection,
            pytest.raises(psycopg.errors.AdminShutdown, match="Your grant has ended"),
        ):
            connection.execute("SELECT pg_sleep(60)")
        until(lambda: backends(prepared(version), grant), lambda left: left == 0, seconds=1)
        session = closed_session()
        assert session.closed_because == "expired"
        (said,) = facts_of(events_of(gateway, session), "notice")
        assert said["text"] == "Your grant has ended."

    @both
    def test_comes_with_a_revocation(self, gateway: RunningGateway, writer: Role, version: str):
        grant = hold(writer)
        with gateway.connect(gateway.offer(grant)) as connection:
            live_session()
            Grant.objects.update(end_reason="revoked")
            grant.refresh_from_db()
            took: list[float] = []

            def revoke() -> None:
                began = time.monotonic()
                assert cutting.cut(grants=[grant], now=clock.now()) == set()
                took.append(time.monotonic() - began)
                connections.close_all()

            thread = threading.Timer(0.2, revoke)
            thread.start()
            with pytest.raises(psycopg.errors.AdminShutdown):
                connection.execute("SELECT pg_sleep(60)")
            thread.join()
        assert backends(prepared(version), grant) == 0
        assert took
        assert took[0] < 1.5
        assert closed_session().closed_because == "revoked"
        assert queries.cut_of([grant.pk])[grant.pk]["connections_cut"] == 1

    def test_of_one_session_by_an_auditor_leaves_the_grants_others(
        self, gateway: RunningGateway, writer: Role, version: str
    ):
        grant = hold(writer)
        with gateway.connect(gateway.offer(grant)) as connection:
            session = live_session()
            with gateway.connect(gateway.offer(grant)) as other:
                people.group("auditors", Permission.SESSION_READ_ALL)
                udo = people.person("udo", "auditors")
                cutting.terminate(
                    session_id=session.pk,
                    user=udo,
                    comment="Not what the ticket says.",
                    actor=people.acting(udo),
                )
                with pytest.raises(psycopg.errors.AdminShutdown):
                    connection.execute("SELECT pg_sleep(60)")
                assert other.execute("SELECT 1").fetchone() == (1,)
                until(lambda: backends(prepared(version), grant), lambda left: left == 1)

    @both
    def test_of_a_query_that_catches_the_cancel(
        self, gateway: RunningGateway, writer: Role, version: str
    ):
        grant = hold(writer, seconds=3)
        with (
            gateway.connect(gateway.offer(grant)) as connection,
            pytest.raises(psycopg.errors.AdminShutdown),
        ):
            connection.execute(
                "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(30); EXCEPTION"
                " WHEN query_canceled THEN NULL; END; END LOOP; END $$"
            )
        until(lambda: backends(prepared(version), grant), lambda left: left == 0, seconds=2)


class TestStop:
    def test_ends_and_closes_what_is_live(self, writer: Role, tmp_path: Path, version: str):
        grant = hold(writer)
        with gateway_in(tmp_path) as gateway:
            connection = gateway.connect(gateway.offer(grant))
            live_session()
        with pytest.raises(psycopg.errors.AdminShutdown, match="being stopped"):
            connection.execute("SELECT 1")
        session = closed_session()
        assert (session.closed_because, session.closed_comment) == (
            "terminated",
            "The gateway is being stopped.",
        )
        assert backends(prepared(version), grant) == 0
        connection.close()


class TestOffer:
    def test_is_a_line_that_works_and_a_password_apart(
        self, gateway: RunningGateway, writer: Role, settings
    ):
        settings.GATEWAYS = {"postgresql": gateway.address}
        settings.POSTGRESQL_GATEWAY = settings.POSTGRESQL_GATEWAY | {
            "authority": str(gateway.authority)
        }
        grant = hold(writer)
        shown = credential.show(grant_id=grant.pk, user=grant.user, actor=people.acting(grant.user))
        assert shown["password"] not in shown["psql"]
        done = subprocess.run(
            f"/usr/lib/postgresql/15/bin/{shown['psql']} -X -A -t -c 'SELECT 40 + 2'",
            shell=True,
            env={"PGPASSWORD": shown["password"], "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert (done.stdout, done.stderr) == ("42\n", "")

"""The people and rows of the audit tests, and an empty log that a superuser swept."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from jit.audit import operations as audit
from jit.audit import queries, sealing
from jit.catalog.models import Role, Target
from jit.elevation.models import ElevationRequest
from jit.identity.models import Group, User
from jit.kernel.actor import Actor, ActorKind, Channel
from tests.support import emptied, servers

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
RITA = Actor(kind=ActorKind.USER, id=str(uuid.uuid4()), name="rita", channel=Channel.WEB)
SIGN_IN = audit.Subject(type="user", id=RITA.id, label="rita")


@pytest.fixture
def now() -> dt.datetime:
    return NOW


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Let a test commit to the log, without Django's flush of all other tables afterwards.

    (The name is pytest-django's, which looks for it to see that a test needs the database.)
    A test that commits other rows too is marked `django_db(transaction=True)` as everywhere.
    """
    with django_db_blocker.unblock():
        yield
        emptied.log()


@pytest.fixture
def superuser(django_db_setup: None) -> Iterator[psycopg.Connection[Any]]:
    """A superuser in the test's own database: what no trigger and no privilege stops."""
    url = servers.ensure()["superuser"]
    name = connection.settings_dict["NAME"]
    with psycopg.connect(url, dbname=name, autocommit=True) as session:
        session.execute("SET session_replication_role = replica")
        session.execute("SET lock_timeout = '5s'")
        yield session


@pytest.fixture
def empty_log(transactional_db: None, superuser: psycopg.Connection[Any]) -> Iterator[None]:
    """A log without events, whatever committed before."""
    emptied.log()
    yield
    emptied.log()


@pytest.fixture
def seal() -> Callable[..., int]:
    """Seal until nothing waits; an autovacuum's transaction may hold the horizon for a moment."""

    def until_nothing_waits(at: dt.datetime = NOW) -> int:
        sealed = sealing.seal(now=at)
        for _ in range(2000):
            if queries.lag(now=at).waiting == 0:
                return sealed
            sealed += sealing.seal(now=at)
        raise AssertionError("a transaction holds the horizon")

    return until_nothing_waits


@pytest.fixture
def write() -> Callable[..., None]:
    """Write events `from` up to, each in a transaction of its own."""

    def events(count: int, **more: Any) -> None:
        for number in range(count):
            with transaction.atomic():
                sign_in(number=number, **more)

    return events


def sign_in(*, now: dt.datetime = NOW, actor: Actor = RITA, links: Any = None, **body: Any) -> None:
    audit.record(
        action="user.signed-in", actor=actor, now=now, subject=SIGN_IN, body=body, links=links
    )


@pytest.fixture
def rita(db: None) -> User:
    return User.objects.create(username="rita", created_at=NOW)


@pytest.fixture
def role(db: None) -> Role:
    target = Target.objects.create(slug="orders-db", name="Orders", kind="postgresql")
    owner = Group.objects.create(slug="sre-managers", name="SRE managers")
    return Role.objects.create(
        slug="orders-db-writer",
        target=target,
        name="Writer",
        risk="medium",
        owner_group=owner,
        max_duration_seconds=7200,
    )


@pytest.fixture
def asked(rita: User, role: Role) -> ElevationRequest:
    return ask(rita, role)


def ask(requester: User, role: Role, **more: Any) -> ElevationRequest:
    values = {
        "ticket_system": "local",
        "ticket_key": "OPS-1",
        "justification": "the orders are stuck",
        "duration_seconds": 600,
        "granted_seconds": 600,
        "channel": "web",
        "created_at": NOW,
        "lapses_at": NOW + dt.timedelta(hours=1),
    }
    return ElevationRequest.objects.create(requester=requester, role=role, **(values | more))

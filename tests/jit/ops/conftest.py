"""Requests and grants in states of a test's choice, without the journeys that lead there."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from jit.audit import operations as audit
from jit.audit import queries as audit_queries
from jit.catalog.models import Role, Target
from jit.elevation.models import ElevationRequest, Grant
from jit.identity.models import Group, User
from jit.kernel import db as database
from jit.kernel.actor import CLOCK

_numbers = itertools.count(1)


def seconds(count: float) -> dt.timedelta:
    return dt.timedelta(seconds=count)


@pytest.fixture
def now(db: None) -> dt.datetime:
    return database.now()


@pytest.fixture
def role(now: dt.datetime) -> Role:
    owners = Group.objects.create(slug="sre-managers", name="SRE managers")
    target = Target.objects.create(slug="orders-db", name="Orders", kind="postgresql")
    return Role.objects.create(
        slug="orders-db-writer",
        target=target,
        name="Write orders",
        risk="medium",
        owner_group=owners,
        max_duration_seconds=7200,
    )


@pytest.fixture
def requested(role: Role, now: dt.datetime) -> Callable[..., ElevationRequest]:
    def make(**fields: Any) -> ElevationRequest:
        number = next(_numbers)
        person = User.objects.create(username=f"rita-{number}", created_at=now)
        given = {
            "state": "APPROVED",
            "created_at": now - seconds(60),
            "closed_at": now - seconds(40),
            "lapses_at": now + seconds(3600),
            "ruling": {"outcome": "needs_approval"},
            **fields,
        }
        return ElevationRequest.objects.create(
            requester=person,
            role=role,
            ticket_system="local",
            ticket_key="OPS-1",
            justification="stuck",
            duration_seconds=600,
            granted_seconds=600,
            channel="web",
            **given,
        )

    return make


@pytest.fixture
def granted(
    requested: Callable[..., ElevationRequest], role: Role, now: dt.datetime
) -> Callable[..., Grant]:
    def make(state: str, request: dict[str, Any] | None = None, **fields: Any) -> Grant:
        asked = requested(**(request or {}))
        if state == "ACTIVE":
            fields = {"starts_at": now, "ends_at": now + seconds(600), **fields}
        return Grant.objects.create(
            request=asked,
            user=asked.requester,
            role=role,
            target=role.target,
            external_name=f"jit_{asked.pk.hex}",
            state=state,
            duration_seconds=600,
            created_at=now,
            **{"scheduled_for": now - seconds(40), **fields},
        )

    return make


@pytest.fixture
def lagging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three events wait for their seal, the oldest for 61 s. (What a test's own transaction
    wrote is not committed, so the sealer rightly overlooks it.)
    """
    lag = audit_queries.Lag(waiting=3, seconds=61.0, checkpoint_age_seconds=61.5)
    monkeypatch.setattr(audit_queries, "lag", lambda *, now: lag)


def happened(action: str, row: ElevationRequest | Grant, at: dt.datetime) -> None:
    """Write the audit event by which the figures find a row."""
    links = audit.Links(
        request_id=row.pk if isinstance(row, ElevationRequest) else row.request_id,
        grant_id=row.pk if isinstance(row, Grant) else None,
    )
    with transaction.atomic():
        audit.record(
            action=action,
            actor=CLOCK,
            now=at,
            subject=audit.Subject(type="x", id=str(row.pk), label="x"),
            links=links,
        )

"""Writes to requests: each one move, its audit event, and what it was judged by."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from jit.audit import operations as audit
from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import (
    REQUEST,
    RequestState,
)
from jit.identity.models import User
from jit.kernel.actor import Actor


def create_request(
    *,
    requester: User,
    role: Role,
    ticket: Mapping[str, Any],
    justification: str,
    duration_seconds: int,
    starts_at: dt.datetime | None,
    lapses_at: dt.datetime,
    ruling: Mapping[str, Any],
    approvers: list[str],
    extends: Grant | None,
    break_glass: bool,
    idempotency_key: str,
    ask_digest: str,
    actor: Actor,
    now: dt.datetime,
) -> ElevationRequest:
    """Write the request in PENDING with everything it was judged by.

    Raises django.db.IntegrityError when one is pending already for this person and role, or
    when the idempotency key was used; the journey turns that into a sentence.
    """
    request = ElevationRequest(
        requester=requester,
        role=role,
        ticket_system=ticket.get("system", ""),
        ticket_key=ticket.get("key", ""),
        ticket=dict(ticket),
        justification=justification,
        duration_seconds=duration_seconds,
        granted_seconds=duration_seconds,
        starts_at=starts_at,
        channel=actor.channel,
        ruling=dict(ruling),
        approvers=approvers,
        extends=extends,
        break_glass=break_glass,
        second_factor_at=requester.second_factor_at,
        idempotency_key=idempotency_key,
        ask_digest=ask_digest,
        created_at=now,
        lapses_at=lapses_at,
    )
    request.lapses_at = min(lapses_at, request.planned_end or lapses_at)
    request.save(force_insert=True)
    # It has no grant yet, and whoever shows it need not ask the database for one.
    request._state.fields_cache["grant"] = None  # noqa: SLF001 -- where Django keeps relations
    audit.created(
        row=request,
        machine=REQUEST,
        actor=actor,
        now=now,
        body={
            "ticket": dict(ticket),
            "justification": justification,
            "duration_seconds": duration_seconds,
            "break_glass": break_glass,
            "ruling": {key: ruling.get(key) for key in ("outcome", "rule", "bundle_digest")},
        },
    )
    return request


def approve_request(
    *, request: ElevationRequest, granted_seconds: int, actor: Actor, now: dt.datetime
) -> None:
    audit.transition(
        row=request,
        machine=REQUEST,
        verb="approved",
        actor=actor,
        now=now,
        changes={"granted_seconds": granted_seconds, "closed_at": now},
        body={"granted_seconds": granted_seconds},
    )


def close_request(
    *,
    request: ElevationRequest,
    verb: str,
    actor: Actor,
    now: dt.datetime,
    body: Mapping[str, Any] | None = None,
) -> None:
    """Move a pending request to its unhappy end: `verb` is denied, withdrawn or lapsed."""
    audit.transition(
        row=request,
        machine=REQUEST,
        verb=verb,
        actor=actor,
        now=now,
        changes={"closed_at": now},
        body=body or {},
    )


def shorten_request(*, request: ElevationRequest, granted_seconds: int) -> None:
    """Lower what may be granted; the database refuses more than was asked for. The decision
    that caused it is the audit event.
    """
    ElevationRequest.objects.filter(pk=request.pk, granted_seconds__gt=granted_seconds).update(
        granted_seconds=granted_seconds
    )
    request.granted_seconds = granted_seconds


def ask_also(*, request: ElevationRequest, approvers: Sequence[str]) -> None:
    """Let more people see and answer the request; the step's escalation is the event."""
    more = list(dict.fromkeys([*request.approvers, *approvers]))
    ElevationRequest.objects.filter(pk=request.pk, state=RequestState.PENDING).update(
        approvers=more
    )
    request.approvers = more


def set_lapse(*, request: ElevationRequest, lapses_at: dt.datetime) -> None:
    """Move the time by which the open step must answer, to the planned end at most; the step's
    opening is the event.
    """
    lapses_at = min(lapses_at, request.planned_end or lapses_at)
    ElevationRequest.objects.filter(pk=request.pk, state=RequestState.PENDING).update(
        lapses_at=lapses_at
    )
    request.lapses_at = lapses_at


def attach_ticket(
    *, request: ElevationRequest, ticket: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> None:
    """Put the ticket that was promised in its place."""
    ElevationRequest.objects.filter(pk=request.pk).update(
        ticket=dict(ticket), ticket_system=ticket["system"], ticket_key=ticket["key"]
    )
    request.ticket, request.ticket_key = dict(ticket), ticket["key"]
    request.ticket_system = ticket["system"]
    audit.record(
        action="ticket.filed",
        actor=actor,
        now=now,
        subject=audit.Subject(type="request", id=str(request.pk), label=str(request)),
        body={"ticket": dict(ticket)},
        request_id=request.pk,
    )

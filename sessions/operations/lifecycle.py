"""The moves of access sessions: live, closed, sealed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction

from jit.audit import operations as audit
from jit.kernel import db
from jit.kernel.actor import CLOCK, Actor, ActorKind, Channel
from jit.workflow import hints
from sessions import queries
from sessions.models import AccessSession
from sessions.states import OPEN, SESSION, ClosedBecause


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How one session ended, as its gateway saw it. `ended` counts what was open in it until
    then and was closed with it: `forwards`, and `connections` to its target.
    """

    session_id: UUID
    because: ClosedBecause
    comment: str = ""
    exit_status: int | None = None
    ended: Mapping[str, int] = field(default_factory=dict)


def went_live(*, session_id: UUID) -> None:
    """Note that the session's person is through to the target. Raises MovedMeanwhile when it
    was closed meanwhile: the gateway then ends it.
    """
    with transaction.atomic():
        session = queries.sessions().get(pk=session_id)
        now = db.now()
        audit.transition(
            row=session,
            machine=SESSION,
            verb="opened",
            actor=_person(session),
            now=now,
            changes={"live_at": now},
        )
        hints.about_request(session.grant.request_id, people=[session.user_id])


def close_many(*, closings: Sequence[Closing], closed_at: dt.datetime | None = None) -> int:
    """Note that these sessions are over; those that are closed already stay as they are.
    Return how many were closed. `closed_at` where it was earlier than now.
    """
    by_id = {closing.session_id: closing for closing in closings}
    with transaction.atomic():
        # Locked, so that one that goes live at this moment is closed after it, not overlooked.
        rows = list(
            queries.sessions()
            .filter(pk__in=by_id, state__in=OPEN)
            .order_by("pk")
            .select_for_update(of=("self",))
        )
        now = db.now()
        changes: dict[UUID, Mapping[str, Any]] = {}
        for row in rows:
            how = by_id[row.pk]
            because, comment = _why(row, how)
            changes[row.pk] = {
                "closed_at": closed_at or now,
                "closed_because": because.value,
                "closed_comment": comment[:1000],
                "exit_status": how.exit_status,
                "ended": dict(how.ended),
            }
        closed = audit.transition_many(
            rows=rows,
            machine=SESSION,
            verb="closed",
            actor=CLOCK,
            now=now,
            changes=changes,
            bodies={
                pk: {
                    "because": change["closed_because"],
                    "comment": change["closed_comment"],
                    "exit_status": change["exit_status"],
                    "ended": change["ended"],
                }
                for pk, change in changes.items()
            },
        )
        for row in closed:
            hints.about_request(row.grant.request_id, people=[row.user_id])
    return len(closed)


def seal(*, session_id: UUID, body: Mapping[str, Any], now: dt.datetime) -> None:
    """Move a CLOSED session to SEALED; `body` says what its recording is (digest, pieces,
    bytes, what is missing). In the caller's transaction. Raises MovedMeanwhile.
    """
    session = queries.sessions().get(pk=session_id)
    audit.transition(
        row=session,
        machine=SESSION,
        verb="sealed",
        actor=CLOCK,
        now=now,
        changes={"sealed_at": now},
        body=body,
    )
    hints.about_request(session.grant.request_id, people=[session.user_id])


def _why(row: AccessSession, how: Closing) -> tuple[ClosedBecause, str]:
    """A session that was asked to end, and ended, ended for that reason."""
    if row.end_asked_because and how.because in {ClosedBecause.LOST, ClosedBecause.LOGOUT}:
        return ClosedBecause(row.end_asked_because), row.end_asked_comment
    return how.because, how.comment or row.end_asked_comment


def _person(session: AccessSession) -> Actor:
    return Actor(
        kind=ActorKind.USER,
        id=str(session.user_id),
        name=session.user.username,
        channel=Channel.WEB if session.door == "web" else Channel.CLI,
    )

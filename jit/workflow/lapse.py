"""Close requests that nobody answered, and those their requester takes back."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from jit.catalog.models import Role
from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.elevation.models import ElevationRequest
from jit.elevation.states import GrantState, RequestState
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.errors import Conflict, NotAllowed
from jit.workflow import hints, tell
from jit.workflow.ports import approvals


class NotYourRequest(NotAllowed):
    """Only the requester withdraws a request; approvers deny it."""


class NotPending(Conflict):
    """The request was decided, withdrawn or lapsed already."""


def lapse_due() -> int:
    """Close every pending request past its time; return how many."""
    closed = 0
    for request_id in queries.lapsed(db.now()):
        with transaction.atomic():
            request = queries.lock_request(request_id)
            now = db.now()
            if request.state != RequestState.PENDING:
                continue
            if request.lapses_at <= now:
                late = (
                    "its planned time ended" if request.is_over(now) else "nobody answered in time"
                )
                _close(request, verb="lapsed", why=late, actor=CLOCK)
            elif request.extends is not None and request.extends.state != GrantState.ACTIVE:
                _close(request, verb="withdrawn", why="the grant to extend has ended", actor=CLOCK)
            closed += 1
    return closed


def withdraw(*, request_id: UUID, user: User, actor: Actor) -> ElevationRequest:
    """Take back one's own pending request; repeating it changes nothing."""
    with transaction.atomic():
        request = queries.lock_request(request_id)
        if request.requester_id != user.pk:
            raise NotYourRequest("Only the requester withdraws a request; as an approver, deny it.")
        if request.state == RequestState.WITHDRAWN:
            return request
        if request.state != RequestState.PENDING:
            raise NotPending(
                f"This request is {request.state} already; end its grant instead, if there is one."
            )
        _close(request, verb="withdrawn", why="the requester took it back", actor=actor)
    return request


def supersede(*, requester: User, role: Role, why: str, actor: Actor) -> ElevationRequest | None:
    """Withdraw what this person has pending for this role, for what is made in its place in the
    caller's transaction; return it, or None where nothing waits any more.
    """
    pending = queries.pending_for(requester, role.pk)
    request = queries.lock_request(pending) if pending else None
    if request is None or request.state != RequestState.PENDING:
        return None
    _close(request, verb="withdrawn", why=why, actor=actor)
    return request


def withdraw_all_of(*, user: User, why: str, actor: Actor) -> int:
    """Withdraw every pending request of a person who left."""
    withdrawn = 0
    for request_id in queries.pending_of(user):
        with transaction.atomic():
            request = queries.lock_request(request_id)
            if request.state == RequestState.PENDING:
                _close(request, verb="withdrawn", why=why, actor=actor)
                withdrawn += 1
    return withdrawn


def _close(request: ElevationRequest, *, verb: str, why: str, actor: Actor) -> None:
    now = db.now()
    approvals().cancel(request=request, actor=actor, now=now)
    elevation.close_request(request=request, verb=verb, actor=actor, now=now, body={"why": why})
    by_requester = actor.id == str(request.requester_id)
    tell.closed(request=request, verb=verb, by_requester=by_requester, now=now)
    asked = approvals().candidates(expressions=request.approvers)
    hints.about_request(request.pk, people=[request.requester_id, *(one.pk for one in asked)])

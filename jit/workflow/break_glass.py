"""Privilege now, review afterwards: allowed by policy only, loud, and owed an answer."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.elevation.models import AfterReview, ElevationRequest
from jit.elevation.states import ReviewState
from jit.identity.models import User
from jit.identity.step_up import StepUpRequired
from jit.kernel import db
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.errors import Conflict, DomainError, InvalidInput, NotAllowed
from jit.policy.ruling import Outcome
from jit.tickets import queries as tickets
from jit.workflow import decide, hints, lapse, revoke, submit, tell
from jit.workflow.ports import approvals

PROMISED = "promised"
FRESH = dt.timedelta(minutes=5)
SUPERSEDED = "the glass was broken instead"


class BreakGlassNotAllowed(NotAllowed):
    """The policy gives this person no break-glass for this role."""


class ReviewOwed(Conflict):
    """The person's last break-glass still waits for its overdue review."""


class NotAReviewer(NotAllowed):
    """Whoever broke the glass does not review it."""


class ReviewClosed(Conflict):
    """The review was answered already."""


class ReasonRequired(DomainError):
    """A flagged review says what was wrong."""


def use(
    *,
    requester: User,
    ask: submit.Ask,
    promise_ticket: bool,
    second_factor_at: dt.datetime | None,
    actor: Actor,
    now: dt.datetime,
) -> ElevationRequest:
    """Elevate at once, without waiting for anybody, and open the review it owes.

    `promise_ticket` stands for a ticket that will be filed within a day. Everybody whose
    approval was skipped finds the review in their list at once. What this person has pending or
    scheduled for the role is withdrawn in the same step: waiting is what the glass is for.
    """
    if second_factor_at is None or now - second_factor_at > FRESH:
        raise StepUpRequired(
            "Breaking the glass takes a second factor given just now: send your current code as "
            "`otp`, or enter it on the page.",
            fields={"otp": ["Enter the current code of your authenticator."]},
        )
    owed = queries.overdue_review_of(requester, now)
    if owed is not None:
        raise ReviewOwed(
            "Your last break-glass still waits for its overdue review "
            f"(request {owed.request_id}): ask {owed.request.role.owner_group.slug} to answer it.",
            extra={"review": str(owed.pk)},
        )
    if promise_ticket and not ask.ticket.strip():
        ask = _with_ticket(ask, PROMISED)
    promised = ask.ticket == PROMISED
    assessment = _assess(requester=requester, ask=ask, promised=promised, actor=actor, now=now)
    offer = assessment.ruling.break_glass
    if not offer.allowed or assessment.ruling.outcome in {Outcome.ERROR, Outcome.DENIED}:
        refusal = BreakGlassNotAllowed(
            f"{offer.message} Ask for {assessment.role.slug} in the usual way.",
            extra={"ruling": submit.public(assessment.ruling)},
        )
        submit.record_refusal(assessment, refusal=refusal, actor=actor, now=now)
        raise refusal
    if ask.duration_seconds > offer.max_duration_seconds:
        raise submit.DurationTooLong(
            f"A break-glass lasts at most {offer.max_duration_seconds} seconds here.",
            fields={"duration_seconds": [f"At most {offer.max_duration_seconds}."]},
            extra={"max_duration_seconds": offer.max_duration_seconds},
        )
    return _elevate(requester=requester, assessment=assessment, actor=actor, now=now)


def _with_ticket(ask: submit.Ask, reference: str) -> submit.Ask:
    return submit.Ask(
        role=ask.role,
        ticket=reference,
        justification=ask.justification,
        duration_seconds=ask.duration_seconds,
    )


def _assess(
    *, requester: User, ask: submit.Ask, promised: bool, actor: Actor, now: dt.datetime
) -> submit.Assessment:
    if ask.starts_at is not None or ask.extends is not None:
        raise InvalidInput("A break-glass starts now and extends nothing.")
    return submit.assess(
        requester=requester,
        ask=ask,
        now=now,
        channel=actor.channel,
        break_glass=True,
        look_up_ticket=not promised,
    )


def _elevate(
    *, requester: User, assessment: submit.Assessment, actor: Actor, now: dt.datetime
) -> ElevationRequest:
    role, ask = assessment.role, assessment.ask
    ruling = replace(assessment.ruling, obligations=assessment.ruling.break_glass.obligations)
    submit.refuse_duplicate(requester, role, supersedes=True)
    skipped = submit.skipped_by(assessment, requester=requester)
    ticket = (
        assessment.ticket.as_json()
        if assessment.ticket
        else {"system": "", "key": ask.ticket, "promised": ask.ticket == PROMISED}
    )
    try:
        with transaction.atomic():
            mine: Any = {"requester": requester, "role": role, "why": SUPERSEDED, "actor": actor}
            old, planned = lapse.supersede(**mine), revoke.supersede_scheduled(**mine)
            supersedes = old.pk if old else planned.request_id if planned else None
            # It may have been approved while we waited for it.
            submit.refuse_duplicate(requester, role, supersedes=True)
            request = elevation.create_request(
                requester=requester,
                role=role,
                ticket=ticket,
                justification=ask.justification,
                duration_seconds=ask.duration_seconds,
                starts_at=None,
                lapses_at=now + dt.timedelta(seconds=ask.duration_seconds),
                ruling=ruling.as_json(),
                approvers=skipped,
                extends=None,
                break_glass=True,
                idempotency_key="",
                ask_digest="",
                actor=actor,
                now=now,
            )
            audit.record(
                action="break-glass.used",
                actor=actor,
                now=now,
                subject=audit.Subject(type="request", id=str(request.pk), label=str(request)),
                body={
                    "skipped": skipped,
                    "justification": ask.justification,
                    "ticket": ticket,
                    "duration_seconds": ask.duration_seconds,
                    "supersedes": str(supersedes) if supersedes else None,
                },
                request_id=request.pk,
            )
            decide.approve(
                request=request, granted_seconds=ask.duration_seconds, actor=actor, now=now
            )
            due_at = now + dt.timedelta(seconds=ruling.break_glass.review_due_seconds)
            elevation.open_review(request=request, due_at=due_at, actor=actor, now=now)
            told = approvals().candidates(expressions=skipped)
            tell.break_glass_used(request=request, people=told, due_at=due_at, now=now)
            hints.about_request(request.pk, people=[requester.pk, *(one.pk for one in told)])
    except IntegrityError:
        submit.refuse_duplicate(requester, role)
        raise
    return request


def file_ticket(
    *, request_id: UUID, user: User, reference: str, actor: Actor, now: dt.datetime
) -> ElevationRequest:
    """Attach the ticket that a break-glass promised. Raises UnknownRequest for who may not see
    the request, whatever else is wrong; NotAllowed, TicketNotFound and Conflict.
    """
    queries.request_visible_to(user, request_id)
    ticket = tickets.look_up(reference)
    with transaction.atomic():
        request = queries.lock_request(request_id)
        if request.requester_id != user.pk:
            raise NotAllowed("Only the person who promised the ticket files it.")
        if not request.ticket.get("promised"):
            raise Conflict(f"This request has its ticket already: {request.ticket_key}.")
        elevation.attach_ticket(request=request, ticket=ticket.as_json(), actor=actor, now=now)
        tell.ticket_filed(request=request, now=now)
        hints.about_request(request.pk, people=[user.pk])
    return request


def review(
    *, review_id: UUID, reviewer: User, flag: bool, comment: str, actor: Actor, now: dt.datetime
) -> AfterReview:
    """Answer an after-review: confirm that the use was right, or flag it with what was wrong."""
    found = queries.review_visible_to(reviewer, review_id)
    with transaction.atomic():
        request = queries.lock_request(found.request_id)
        row = queries.reviews().get(pk=review_id)
        if request.requester.person_id == reviewer.person_id:
            raise NotAReviewer("You broke this glass yourself; somebody else reviews it.")
        mine = set(queries.expressions_of(reviewer))
        owner = f"group:{request.role.owner_group.slug}"
        if not mine & {*request.approvers, owner}:
            raise NotAReviewer(
                f"This is reviewed by the skipped approvers or by {request.role.owner_group.slug}."
            )
        if row.state != ReviewState.OPEN:
            raise ReviewClosed(f"This review was answered already: {row.state.lower()}.")
        if flag and not comment.strip():
            raise ReasonRequired(
                "Say what was wrong with it.", fields={"comment": ["A flag needs a reason."]}
            )
        elevation.close_review(
            review=row,
            state=ReviewState.FLAGGED if flag else ReviewState.CONFIRMED,
            comment=comment,
            reviewer=reviewer,
            actor=actor,
            now=now,
        )
        tell.reviewed(request=request, now=now)
        asked = approvals().candidates(expressions=[*request.approvers, owner])
        people = [request.requester_id, reviewer.pk, *(one.pk for one in asked)]
        hints.about_request(request.pk, people=people)
    return row


def escalate_overdue() -> int:
    """Put every review past its deadline before the role's owners too; return how many."""
    now = db.now()
    overdue = queries.reviews_to_escalate(now)
    for row in overdue:
        with transaction.atomic():
            if elevation.escalate_review(review=row, actor=CLOCK, now=now):
                reviewers = [
                    *row.request.approvers,
                    f"group:{row.request.role.owner_group.slug}",
                ]
                people = approvals().candidates(expressions=reviewers)
                tell.review_due(review=row, people=people, now=now)
                hints.about_request(row.request_id, people=[one.pk for one in people])
    return len(overdue)

"""Writes to after-reviews."""

from __future__ import annotations

import datetime as dt

from jit.audit import operations as audit
from jit.elevation.models import AfterReview, ElevationRequest
from jit.elevation.states import (
    REVIEW,
    ReviewState,
)
from jit.identity.models import User
from jit.kernel.actor import Actor


def open_review(
    *, request: ElevationRequest, due_at: dt.datetime, actor: Actor, now: dt.datetime
) -> AfterReview:
    review = AfterReview(request=request, created_at=now, due_at=due_at)
    review.save(force_insert=True)
    audit.created(
        row=review, machine=REVIEW, actor=actor, now=now, body={"due_at": due_at.isoformat()}
    )
    return review


def close_review(
    *,
    review: AfterReview,
    state: ReviewState,
    comment: str,
    reviewer: User,
    actor: Actor,
    now: dt.datetime,
) -> None:
    audit.transition(
        row=review,
        machine=REVIEW,
        verb="confirmed" if state is ReviewState.CONFIRMED else "flagged",
        actor=actor,
        now=now,
        changes={"reviewer": reviewer, "comment": comment, "closed_at": now},
        body={"comment": comment},
    )


def escalate_review(*, review: AfterReview, actor: Actor, now: dt.datetime) -> bool:
    """Mark an unanswered review as escalated, once; return whether this call did it."""
    moved = AfterReview.objects.filter(
        pk=review.pk, state=ReviewState.OPEN, escalated_at__isnull=True
    ).update(escalated_at=now)
    if moved:
        audit.record(
            action="review.escalated",
            actor=actor,
            now=now,
            subject=audit.Subject(type="review", id=str(review.pk), label=str(review)),
            body={"due_at": review.due_at.isoformat()},
            request_id=review.request_id,
        )
    return bool(moved)

"""Show the ruling before anything is asked for: the same judgement as `submit`, no writes."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jit.elevation import queries
from jit.elevation.models import Grant
from jit.identity.models import User
from jit.kernel.errors import DomainError
from jit.workflow import submit


def preview(*, requester: User, ask: submit.Ask, channel: str, now: dt.datetime) -> dict[str, Any]:
    """Return the ruling with its trace, the people each step would ask (by user name, without
    the requester), the ticket found, and what would refuse the request now.

    Raises what `submit.assess` raises: an unknown role or ticket has no ruling.
    """
    assessment = submit.assess(
        requester=requester, ask=ask, channel=channel, now=now, only_showing=True
    )
    who: list[list[str]] = []
    problem: DomainError | None = None
    try:
        submit.refuse_unless_offered(assessment)
        who = [
            [user.username for user in step]
            for step in submit.resolve(assessment, requester=requester).people
        ]
        if assessment.extends is None:
            submit.refuse_duplicate(requester, assessment.role)
    except DomainError as refusal:
        problem = refusal
    offer = assessment.ruling.break_glass
    return {
        **submit.public(assessment.ruling),
        "who": who,
        "ticket": assessment.ticket.as_json() if assessment.ticket else None,
        "problem": _problem(problem) if problem else None,
        "break_glass": {
            "allowed": offer.allowed,
            "max_duration_seconds": offer.max_duration_seconds,
        },
    }


def _problem(refusal: DomainError) -> dict[str, Any]:
    return {
        "type": f"urn:jit:problem:{refusal.code}",
        "title": refusal.title or refusal.code,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
        **({"errors": refusal.fields} if refusal.fields else {}),
    }


def live_or_pending(requester: User, role_id: Any) -> str | None:
    """Return a sentence on what stands in the way of asking for the role again, if anything."""
    found = queries.in_the_way(requester, role_id)
    if found is None:
        return None
    return "You hold it now." if isinstance(found, Grant) else "You asked for it already."

"""Reads of chains: who can answer, what waits for whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from approvals.models import Chain, Decision, Step
from approvals.states import StepState
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity.models import User

_STEPS = Prefetch(
    "steps",
    Step.objects.order_by("position").prefetch_related(
        Prefetch("decisions", Decision.objects.select_related("approver").order_by("decided_at"))
    ),
)


def chains_of(requests: Iterable[ElevationRequest]) -> dict[UUID, Chain]:
    """Return the chains of these requests with steps and decisions, by request id."""
    chains = Chain.objects.filter(request__in=[request.pk for request in requests])
    return {chain.request_id: chain for chain in chains.prefetch_related(_STEPS)}


def chain_of(request: ElevationRequest) -> Chain | None:
    return chains_of([request]).get(request.pk)


def people_of(expressions: Sequence[str]) -> QuerySet[User]:
    """Return the active people behind resolved expressions (`user:…`, `group:…`)."""
    names = [name for kind, _, name in (e.partition(":") for e in expressions) if kind == "user"]
    slugs = [name for kind, _, name in (e.partition(":") for e in expressions) if kind == "group"]
    return (
        User.objects.filter(is_active=True)
        .filter(Q(username__in=names) | Q(memberships__group__slug__in=slugs))
        .order_by("username")
        .distinct()
    )


def candidates_of(requests: Iterable[ElevationRequest]) -> dict[str, list[User]]:
    """Return the people behind every expression that these requests' approvers name, in two
    queries however many requests there are.
    """
    expressions = {expression for request in requests for expression in request.approvers}
    found: dict[str, list[User]] = {expression: [] for expression in expressions}
    users = people_of(sorted(expressions)).prefetch_related("memberships__group")
    for user in users if expressions else ():
        mine = [f"user:{user.username}"]
        mine += [f"group:{membership.group.slug}" for membership in user.memberships.all()]
        for expression in mine:
            if expression in found:
                found[expression].append(user)
    return found


def inbox(user: User) -> QuerySet[ElevationRequest]:
    """Return what waits for this person's decision, oldest deadline first: the open step asks
    them, it is not their own request, and they have not spoken in this chain.
    """
    return (
        elevation.requests()
        .filter(
            state=RequestState.PENDING,
            chain__steps__in=Step.objects.filter(
                state=StepState.OPEN, resolved__has_any_keys=elevation.expressions_of(user)
            ),
        )
        .exclude(requester__person_id=user.person_id)
        .exclude(
            Q(chain__same_person_may_repeat=False)
            & Q(chain__steps__decisions__person=user.person_id)
        )
        .order_by("lapses_at", "id")
        .distinct()
    )


def decision_seconds_since(since: dt.datetime) -> list[float]:
    """Return, for decisions made since, the seconds from the step's opening to the decision."""
    rows = Decision.objects.filter(decided_at__gte=since).values_list(
        "decided_at", "step__opened_at"
    )
    return [(decided - opened).total_seconds() for decided, opened in rows if opened]

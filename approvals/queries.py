"""Reads of chains: who can answer, what waits for whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from approvals.models import Decision, Step
from approvals.states import StepState
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity.models import User
from jit.workflow.ports import ChainView, DecisionView, StepView


def _behind(expressions: Sequence[str]) -> Q:
    split = [expression.partition(":") for expression in expressions]
    names = [name for kind, _, name in split if kind == "user"]
    slugs = [name for kind, _, name in split if kind == "group"]
    return Q(username__in=names) | Q(memberships__group__slug__in=slugs)


def people_of(expressions: Sequence[str]) -> QuerySet[User]:
    """Return the active people behind resolved expressions (`user:…`, `group:…`)."""
    people = User.objects.filter(is_active=True).filter(_behind(expressions))
    return people.order_by("username").distinct()


def people_of_each(steps: Sequence[Sequence[str]]) -> list[list[User]]:
    """Return the active people behind the expressions of each step, by user name, in one
    statement however many steps there are.
    """
    wanted = sorted({expression for step in steps for expression in step})
    rows = (
        User.objects.filter(is_active=True)
        .filter(_behind(wanted))
        .annotate(slug=F("memberships__group__slug"))
        .order_by("username")
    )
    found: dict[str, dict[UUID, User]] = {expression: {} for expression in wanted}
    for user in rows if wanted else ():
        for expression in (f"user:{user.username}", f"group:{user.slug}"):
            if expression in found:
                found[expression].setdefault(user.pk, user)
    return [
        sorted(
            {pk: user for expression in step for pk, user in found[expression].items()}.values(),
            key=lambda user: user.username,
        )
        for step in steps
    ]


def people_to_ask(step: Step) -> QuerySet[User]:
    """Return the active people whose word the step can count: not the requester, nor, unless
    the chain lets people repeat themselves, who has spoken in it already.
    """
    people = people_of(step.resolved).exclude(person_id=step.chain.request.requester.person_id)
    if step.chain.same_person_may_repeat:
        return people
    spoken = Decision.objects.filter(step__chain=step.chain_id).values("person")
    return people.exclude(person_id__in=spoken)


def names_behind(expressions: Iterable[str]) -> dict[str, list[tuple[str, UUID]]]:
    """Return, for each resolved expression, the active (user name, person) behind it, in one
    statement however many there are.
    """
    wanted = sorted(set(expressions))
    found: dict[str, list[tuple[str, UUID]]] = {expression: [] for expression in wanted}
    if not wanted:
        return found
    rows = (
        User.objects.filter(is_active=True)
        .filter(_behind(wanted))
        .order_by("username")
        .values_list("username", "person_id", "memberships__group__slug")
    )
    for username, person, slug in rows:
        for expression in (f"user:{username}", f"group:{slug}"):
            if expression in found and (username, person) not in found[expression]:
                found[expression].append((username, person))
    return found


def describe(requests: Iterable[ElevationRequest]) -> dict[UUID, ChainView]:
    """Return the chains of these requests as people see them, in two statements."""
    by_id = {request.pk: request for request in requests}
    rows: list[Any] = list(
        Step.objects.filter(chain__request__in=list(by_id))
        .order_by("chain", "position", "decisions__decided_at", "decisions__id")
        .values(
            "id",
            "position",
            "state",
            "any_of",
            "resolved",
            "quorum",
            "opened_at",
            "lapses_at",
            "chain__request_id",
            "chain__state",
            "decisions__id",
            "decisions__verdict",
            "decisions__channel",
            "decisions__comment",
            "decisions__duration_seconds",
            "decisions__decided_at",
            "decisions__approver__username",
        )
    )
    names = names_behind(expression for row in rows for expression in row["resolved"])
    steps: dict[UUID, list[dict[str, Any]]] = {}
    states: dict[UUID, str] = {}
    for row in rows:
        request_id = row["chain__request_id"]
        states[request_id] = row["chain__state"]
        of_chain = steps.setdefault(request_id, [])
        if not of_chain or of_chain[-1]["id"] != row["id"]:
            of_chain.append({**row, "decisions": []})
        if row["decisions__id"] is not None:
            of_chain[-1]["decisions"].append(_decision_view(row))
    return {
        request_id: ChainView(
            state=states[request_id],
            steps=tuple(
                _step_view(step, names, by_id[request_id].requester.person_id) for step in of_chain
            ),
        )
        for request_id, of_chain in steps.items()
    }


def _decision_view(row: dict[str, Any]) -> DecisionView:
    return DecisionView(
        approver=row["decisions__approver__username"],
        verdict=row["decisions__verdict"],
        channel=row["decisions__channel"],
        comment=row["decisions__comment"],
        duration_seconds=row["decisions__duration_seconds"],
        decided_at=row["decisions__decided_at"],
    )


def _step_view(
    row: dict[str, Any], names: dict[str, list[tuple[str, UUID]]], requester: UUID
) -> StepView:
    candidates = {
        username
        for expression in row["resolved"]
        for username, person in names[expression]
        if person != requester
    }
    return StepView(
        id=row["id"],
        position=row["position"],
        state=row["state"],
        any_of=tuple(row["any_of"]),
        quorum=row["quorum"],
        candidates=tuple(sorted(candidates)),
        decisions=tuple(row["decisions"]),
        opened_at=row["opened_at"],
        lapses_at=row["lapses_at"],
    )


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

"""Reads of chains: who can answer, what waits for whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from approvals import delegation_queries
from approvals.delegation_queries import Eligible
from approvals.models import Decision, Step
from approvals.states import StepState
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity.models import User
from jit.notifications import queries as notifications
from jit.notifications.kinds import Kind
from jit.workflow.ports import ChainView, DecisionView, StepView

ASKING = (Kind.ASKED, Kind.REMINDER, Kind.ESCALATED)


def people_of(expressions: Sequence[str]) -> list[User]:
    """Return the active people behind resolved expressions, and who stands in for them."""
    return people_of_each([expressions])[0]


def people_of_each(steps: Sequence[Sequence[str]]) -> list[list[User]]:
    """Return the active people behind the expressions of each step and their stand-ins, by
    user name, in one statement however many steps there are.
    """
    found = delegation_queries.eligible(e for step in steps for e in step)
    return [[one.user for one in found if one.asked_by(set(step))] for step in steps]


def people_to_ask(step: Step) -> list[User]:
    """Return the active people whose word the step can count: not the requester, nor whose
    voice was given in it (or, unless people may repeat themselves, in its chain) already.
    """
    found = delegation_queries.eligible(step.resolved)
    spoken = spoken_in(step)
    requester = step.chain.request.requester.person_id
    return [one.user for one in found if one.may_answer(set(step.resolved), requester, spoken)]


def row_for_deciding(user: User, request_id: UUID) -> ElevationRequest:
    """Return the request to somebody who sees it, or who was asked about it once: whoever lost
    the group or the delegation meanwhile hears why their word does not count, not that there is
    no such request. Raises UnknownRequest.
    """
    try:
        return elevation.request_visible_to(user, request_id)
    except elevation.UnknownRequest:
        row = elevation.requests().filter(pk=request_id).first()
        if row is None or not notifications.was_told(user, request_id, ASKING):
            raise
        return row


def spoken_in(step: Step) -> set[UUID]:
    """Return the persons whose voice can't count in this step any more."""
    rows = Decision.objects.filter(step__chain=step.chain_id)
    if step.chain.same_person_may_repeat:
        rows = rows.filter(step=step)
    pairs = rows.values_list("person", "on_behalf_of_person")
    return {person for pair in pairs for person in pair if person is not None}


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
            "decisions__on_behalf_of__username",
            "escalate_at",
            "escalated_at",
            "escalated_to",
        )
    )
    people = delegation_queries.eligible(e for row in rows for e in row["resolved"])
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
                _step_view(step, people, by_id[request_id].requester.person_id) for step in of_chain
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
        on_behalf_of=row["decisions__on_behalf_of__username"] or "",
    )


def _step_view(row: dict[str, Any], people: Sequence[Eligible], requester: UUID) -> StepView:
    resolved = set(row["resolved"])
    able = [one for one in people if one.may_answer(resolved, requester, set())]
    return StepView(
        id=row["id"],
        position=row["position"],
        state=row["state"],
        any_of=tuple(row["any_of"]),
        quorum=row["quorum"],
        candidates=tuple(one.user.username for one in able),
        stand_ins=tuple(
            (one.user.username, mandate.name)
            for one in able
            if not one.own & resolved
            for mandate in one.mandates
            if mandate.expressions & resolved and mandate.person != requester
        ),
        decisions=tuple(row["decisions"]),
        opened_at=row["opened_at"],
        lapses_at=row["lapses_at"],
        escalate_at=row["escalate_at"],
        escalated_at=row["escalated_at"],
        escalated_to=tuple(row["escalated_to"]),
    )


def inbox(user: User) -> QuerySet[ElevationRequest]:
    """Return what waits for this person's decision, oldest deadline first: the open step asks
    them (or whom they stand in for), it is not their own request, and they have not spoken in
    this chain, nor somebody for them.
    """
    asked = _asks(elevation.expressions_of(user)) | delegation_queries.asked_instead(user)
    return (
        elevation.requests()
        .filter(asked, state=RequestState.PENDING)
        .exclude(requester__person_id=user.person_id)
        .exclude(_spoken(user.person_id))
        .order_by("lapses_at", "id")
    )


def _asks(expressions: Sequence[str]) -> Q:
    steps = Step.objects.filter(state=StepState.OPEN, resolved__has_any_keys=list(expressions))
    return Q(pk__in=steps.values("chain__request_id"))


def _spoken(person: UUID) -> Q:
    """Match requests in which this person's voice can't count (again) in the open step."""
    rows = Decision.objects.filter(Q(person=person) | Q(on_behalf_of_person=person)).filter(
        Q(step__chain__same_person_may_repeat=False) | Q(step__state=StepState.OPEN)
    )
    return Q(pk__in=rows.values("step__chain__request_id"))


def decision_seconds_since(since: dt.datetime) -> list[float]:
    """Return, for decisions made since, the seconds from the step's opening to the decision."""
    rows = Decision.objects.filter(decided_at__gte=since).values_list(
        "decided_at", "step__opened_at"
    )
    return [(decided - opened).total_seconds() for decided, opened in rows if opened]


def requests_decided_by(username: str) -> QuerySet[Decision, UUID]:
    """Return the ids of requests on which this person gave a decision."""
    return (
        Decision.objects.order_by()
        .filter(approver__username=username)
        .values_list("step__chain__request_id", flat=True)
    )

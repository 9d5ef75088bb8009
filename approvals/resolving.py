"""Whom approver expressions mean now: `manager`, `role-owner`, `ticket-assignee` and `oncall:…`
become `user:…` and `group:…`, when a request is made and again whenever its step asks further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from approvals.models import Step
from jit.catalog.models import Role
from jit.identity.models import User
from jit.oncall import queries as on_call
from jit.policy.ruling import StepSpec

ON_CALL = "oncall:"


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a step's own words mean now, as resolved expressions."""

    any_of: list[str]
    escalate_to: list[str]
    fallback: list[str]


def expand(
    *, any_of: Sequence[str], requester: User, role: Role, ticket_assignee: str | None
) -> list[str]:
    """Return the expressions with the relative ones made absolute. Those that name nobody
    (no manager, an unassigned ticket, an on-call system that does not answer) fall away:
    they never turn into a yes. May wait for the on-call system: never in a transaction.
    """
    absolute: list[str] = []
    for expression in any_of:
        if expression == "role-owner":
            absolute.append(f"group:{role.owner_group.slug}")
        elif expression == "manager":
            absolute += [f"user:{requester.manager.username}"] if requester.manager else []
        elif expression == "ticket-assignee":
            absolute += [f"user:{ticket_assignee}"] if ticket_assignee else []
        elif expression.startswith(ON_CALL):
            people = on_call.people_on_call(expression.removeprefix(ON_CALL))
            absolute += [f"user:{username}" for username in people]
        else:
            absolute.append(expression)
    return list(dict.fromkeys(absolute))


def spec_of(step: Step) -> StepSpec:
    """Return the step as the policy wrote it. Only the policy knows a relative approver's name:
    the step keeps who that was when the request was made.
    """
    chain = step.chain.request.ruling.get("chain") or []
    if step.position > len(chain):
        return StepSpec(any_of=tuple(step.any_of))
    return StepSpec.from_json(chain[step.position - 1])


def words_of(step: Step) -> list[str]:
    """Return all approver expressions of the step in the policy's own words."""
    spec = spec_of(step)
    return [*spec.any_of, *spec.escalate_to, *spec.fallback]


def is_relative(step: Step) -> bool:
    """Return whether some of the step's words may mean others than when it was asked."""
    return any(not word.startswith(("user:", "group:")) for word in words_of(step))


def asks_who_is_on_call(step: Step) -> bool:
    """Return whether the step's own words name a pager, so that another system must be asked."""
    return any(word.startswith(ON_CALL) for word in words_of(step))


def now_of(step: Step) -> Found:
    """Return whom the step's words mean now. Not in a transaction."""
    request, spec = step.chain.request, spec_of(step)

    def meant(words: Sequence[str]) -> list[str]:
        return expand(
            any_of=words,
            requester=request.requester,
            role=request.role,
            ticket_assignee=request.ticket.get("assignee"),
        )

    return Found(
        any_of=meant(spec.any_of),
        escalate_to=meant(spec.escalate_to),
        fallback=meant(spec.fallback),
    )

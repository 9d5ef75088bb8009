"""Which roles a person may ask for, and why not the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from jit.catalog import facts as catalog_facts
from jit.catalog.models import Role
from jit.identity.models import User
from jit.kernel.actor import Channel
from jit.policy import operations as policies
from jit.policy import queries as policy
from jit.policy.ruling import GUARDRAIL, Ruling
from jit.workflow import facts

_SHORT = 300
"""Seconds: what a break-glass is judged for where nobody has said yet how long it is to be."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One role as it stands for one person. The ticket decides the rest, later."""

    role: Role
    eligible: bool
    why_not: str


def offers(*, user: User, roles: Sequence[Role], now: dt.datetime) -> list[Offer]:
    """Return the roles, those that `user` may ask for first, else in the order given."""
    answers = policy.eligible_roles(
        user=facts.user_facts(user),
        roles=[
            {"role": catalog_facts.of_role(role), "target": catalog_facts.of_target(role.target)}
            for role in roles
        ],
        now=now,
    )
    found = [Offer(role, answers[role.slug].eligible, answers[role.slug].message) for role in roles]
    return sorted(found, key=lambda offer: not offer.eligible)


def break_glass_limits(*, user: User, roles: Sequence[Role], now: dt.datetime) -> dict[str, int]:
    """Return, by slug, the longest that `user` may take each role for by breaking the glass, in
    seconds; 0 where that rests on a ticket not named yet. Roles whose glass is not theirs to
    break are left out. For showing only: `break_glass.use` judges by itself.
    """
    found = {}
    for role in roles:
        ruling = policies.rule(
            facts.of(
                requester=user,
                role=role,
                ticket=None,
                ask_seconds=_SHORT,
                justification=".",
                starts_at=None,
                extends=False,
                break_glass=True,
                channel=Channel.WEB,
                now=now,
                on_call_now=False,
            ),
            now=now,
        )
        if ruling.break_glass.allowed:
            found[role.slug] = ruling.break_glass.max_duration_seconds
        elif _rests_on_a_ticket(ruling):
            found[role.slug] = 0
    return found


def _rests_on_a_ticket(ruling: Ruling) -> bool:
    """Return whether each clause that refuses the break-glass reads the ticket."""
    refusing = [
        clause
        for clause in ruling.trace
        if clause.passed is not True
        and (clause.part == GUARDRAIL or clause.part.startswith("break_glass"))
    ]
    return bool(refusing) and all("ticket." in clause.text for clause in refusing)

"""Which roles a person may ask for, and why not the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from jit.catalog import facts as catalog_facts
from jit.catalog.models import Role
from jit.identity.models import User
from jit.policy import queries as policy
from jit.workflow import facts


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

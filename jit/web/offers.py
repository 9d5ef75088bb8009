"""The roles a person may choose from: what they may ask for first, and why not the others."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from jit.catalog import facts as catalog_facts
from jit.catalog import queries as catalog
from jit.catalog.models import Role
from jit.identity.models import User
from jit.policy import queries as policy
from jit.workflow import facts

MOST_SHOWN = 50
MOST_JUDGED = 2000


@dataclass(frozen=True, slots=True)
class Offer:
    """A role, and whether this person may ask for it; `why_not` is policy's own sentence."""

    role: Role
    eligible: bool
    why_not: str


def _judge(user: User, roles: list[Role], now: dt.datetime) -> list[Offer]:
    asked = [
        {"role": catalog_facts.of_role(role), "target": catalog_facts.of_target(role.target)}
        for role in roles
    ]
    found = policy.eligible_roles(user=facts.user_facts(user), roles=asked, now=now)
    return [Offer(role, found[role.slug].eligible, found[role.slug].message) for role in roles]


def offers(*, user: User, q: str, now: dt.datetime, chosen: str = "") -> list[Offer]:
    """Return the requestable roles that `q` matches, those one may ask for first, by name; the
    one chosen already is always the first, so that a search never loses the choice.
    """
    visible = catalog.roles_visible_to(user).filter(enabled=True, target__enabled=True)
    roles = list(catalog.filter_roles(visible, q=q)[:MOST_JUDGED])
    if chosen and chosen not in {role.slug for role in roles}:
        roles += visible.filter(slug=chosen.replace("\0", ""))
    judged = _judge(user, roles, now)
    judged.sort(key=lambda offer: (offer.role.slug != chosen, not offer.eligible, offer.role.slug))
    return judged[:MOST_SHOWN]


def offer(*, user: User, slug: str, now: dt.datetime) -> Offer | None:
    """Return one role as an offer, or None where there is none to be seen."""
    role = catalog.roles_visible_to(user).filter(slug=slug.replace("\0", "")).first()
    return _judge(user, [role], now)[0] if slug and role else None

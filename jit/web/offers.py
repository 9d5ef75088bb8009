"""The roles a person may choose from: what they may ask for first, and why not the others."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from jit.catalog import facts as catalog_facts
from jit.catalog import queries as catalog
from jit.catalog.models import Role
from jit.identity.models import User
from jit.policy import queries as policy
from jit.workflow import facts
from jit.workflow import offers as workflow

MOST_SHOWN = 50
MOST_JUDGED = 2000


@dataclass(frozen=True, slots=True)
class Offer:
    """A role, and whether this person may ask for it; `why_not` is policy's own sentence, and
    `longest` the most seconds it may be held for (0 where that rests on the ticket).
    """

    role: Role
    eligible: bool
    why_not: str
    longest: int


def _judge(user: User, roles: list[Role], now: dt.datetime) -> list[Offer]:
    asked = [
        {"role": catalog_facts.of_role(role), "target": catalog_facts.of_target(role.target)}
        for role in roles
    ]
    found = policy.eligible_roles(user=facts.user_facts(user), roles=asked, now=now)
    return [
        Offer(role, found[role.slug].eligible, found[role.slug].message, role.max_duration_seconds)
        for role in roles
    ]


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


def breakable(*, user: User, q: str, now: dt.datetime, chosen: str = "") -> list[Offer]:
    """Return the roles that `q` matches and whose glass `user` may break, with their limits."""
    asked = [one for one in offers(user=user, q=q, now=now, chosen=chosen) if one.eligible]
    limits = workflow.break_glass_limits(user=user, roles=[one.role for one in asked], now=now)
    return [replace(one, longest=limits[one.role.slug]) for one in asked if one.role.slug in limits]


def offer(*, user: User, slug: str, now: dt.datetime, glass: bool = False) -> Offer | None:
    """Return one role as an offer, of a break-glass where `glass`; None where there is none to
    be seen.
    """
    role = catalog.roles_visible_to(user).filter(slug=slug.replace("\0", "")).first()
    if not slug or role is None:
        return None
    found = _judge(user, [role], now)[0]
    if not glass or not found.eligible:
        return found
    limits = workflow.break_glass_limits(user=user, roles=[role], now=now)
    if slug not in limits:
        return replace(found, eligible=False, why_not="Policy gives you no break-glass for it.")
    return replace(found, longest=limits[slug])

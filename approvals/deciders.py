"""On which roles somebody decides, by the policy in force: what they may lend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from approvals.resolving import ON_CALL
from jit.catalog import facts as catalog_facts
from jit.catalog import queries as catalog
from jit.catalog.models import Role
from jit.elevation import queries as elevation
from jit.identity import queries as identity
from jit.identity.models import User
from jit.oncall import queries as on_call
from jit.policy import queries as policy


def roles_decided_by(
    user: User, *, groups: Iterable[str] = (), now: dt.datetime
) -> dict[str, list[Role]]:
    """Return the roles on which `user` decides, by each resolved expression that means them: of
    these `groups`, or all and their name. Whoever has a pager that a role asks decides on it
    while they have it; a ticket's assignee is known only with the ticket, and decides on none.

    May wait for on-call systems: not inside a transaction. Raises NoPolicyInForce.
    """
    named = {f"group:{slug}" for slug in groups}
    mine = [one for one in elevation.expressions_of(user) if not named or one in named]
    found: dict[str, list[Role]] = {}
    pagers: dict[str, bool] = {}
    manages = identity.manages_anybody(user)
    itself = f"user:{user.username}"
    for role in catalog.roles().filter(enabled=True, target__enabled=True):
        asked = policy.approvers_of(
            role=catalog_facts.of_role(role), target=catalog_facts.of_target(role.target), now=now
        )
        if "role-owner" in asked:
            asked |= {f"group:{role.owner_group.slug}"}
        if "manager" in asked and manages:
            asked |= {itself}
        for pager in (one for one in asked if one.startswith(ON_CALL) and itself in mine):
            if pager not in pagers:
                on_it = on_call.people_on_call(pager.removeprefix(ON_CALL))
                pagers[pager] = user.username in on_it
            if pagers[pager]:
                found.setdefault(itself, []).append(role)
        for expression in mine:
            if expression in asked:
                found.setdefault(expression, []).append(role)
    return found

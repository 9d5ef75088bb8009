"""Gather from the tables what policy is asked about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jit.catalog.models import Role
from jit.identity import queries as identity
from jit.identity.models import User
from jit.policy import facts as policy_facts
from jit.tickets.adapters.base import TicketSnapshot


def user_facts(user: User) -> dict[str, Any]:
    return {
        "id": user.username,
        "groups": sorted(identity.groups_of(user)),
        "on_call_for": [],
        "manager": user.manager.username if user.manager_id and user.manager else "",
    }


def role_facts(role: Role) -> dict[str, Any]:
    return {
        "slug": role.slug,
        "name": role.name,
        "team": role.target.team,
        "kind": role.target.kind,
        "env": role.target.env,
        "risk": role.risk,
        "target": role.target.slug,
        "tags": role.tags,
        "max_duration_seconds": role.max_duration_seconds,
    }


def of(
    *,
    requester: User,
    role: Role,
    ticket: TicketSnapshot | None,
    ask_seconds: int,
    justification: str,
    starts_at: dt.datetime | None,
    extends: bool,
    break_glass: bool,
    now: dt.datetime,
) -> policy_facts.Facts:
    """Return the facts of one ask, in plain values; whatever is unknown keeps the policy's
    fail-closed default.
    """
    factor_at = requester.second_factor_at
    request: dict[str, Any] = {
        "duration_seconds": ask_seconds,
        "justification_length": len(justification),
        "extends": extends,
        "break_glass": break_glass,
        "starts_in_seconds": max(int((starts_at - now).total_seconds()), 0) if starts_at else 0,
        "hour": now.hour,
        "weekday": now.isoweekday(),
    }
    if factor_at is not None:
        request["second_factor_age"] = max(int((now - factor_at).total_seconds()), 0)
    return policy_facts.build(
        user=user_facts(requester),
        role=role_facts(role),
        ticket=ticket.as_json() if ticket else None,
        request=request,
    )

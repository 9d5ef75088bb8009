"""Gather from the tables what policy is asked about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings

from jit.catalog.models import Role, Target
from jit.identity import queries as identity
from jit.identity.models import User
from jit.policy import facts as policy_facts
from jit.tickets.adapters.base import TicketSnapshot


def user_facts(user: User) -> dict[str, Any]:
    return {
        "id": user.username,
        "name": user.display_name,
        "groups": sorted(identity.groups_of(user)),
        "on_call_for": [],
        "manager": user.manager.username if user.manager else "",
        "attributes": user.attributes,
    }


def role_facts(role: Role) -> dict[str, Any]:
    return {
        "slug": role.slug,
        "name": role.name,
        "risk": role.risk,
        "owner_group": role.owner_group.slug,
        "tags": role.tags,
        "max_duration": role.max_duration_seconds,
    }


def target_facts(target: Target) -> dict[str, Any]:
    return {
        "slug": target.slug,
        "name": target.name,
        "kind": target.kind,
        "env": target.env,
        "team": target.team,
    }


def ticket_facts(ticket: TicketSnapshot | None, *, silent: str = "") -> dict[str, Any] | None:
    """Return the ticket as policy reads it; `silent` is the key of one whose system does not
    answer.
    """
    if ticket is not None:
        return {**ticket.as_json(), "known": True}
    return {"key": silent, "known": False} if silent else None


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
    channel: str,
    now: dt.datetime,
    silent_ticket: str = "",
) -> policy_facts.Facts:
    """Return the facts of one ask, in plain values; whatever is unknown keeps the policy's
    fail-closed default. `silent_ticket` is the key of a ticket that nobody could check.
    """
    factor_at = requester.second_factor_at
    request: dict[str, Any] = {
        "duration": ask_seconds,
        "justification_length": len(justification),
        "channel": channel,
        "extends": extends,
        "break_glass": break_glass,
        "starts_in": max(int((starts_at - now).total_seconds()), 0) if starts_at else 0,
        "change_freeze": settings.CHANGE_FREEZE,
    }
    if factor_at is not None:
        request["second_factor_age"] = max(int((now - factor_at).total_seconds()), 0)
    return policy_facts.build(
        user=user_facts(requester),
        role=role_facts(role),
        target=target_facts(role.target),
        ticket=ticket_facts(ticket, silent=silent_ticket),
        request=request,
        now=now,
    )

"""Gather from the tables what policy is asked about."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings

from jit.catalog import facts as catalog_facts
from jit.catalog.models import Role
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import clock
from jit.oncall import queries as on_call
from jit.policy import facts as policy_facts
from jit.tickets.adapters.base import TicketSnapshot

ON_CALL_TAG = "oncall"
"""The tag by which a role's owner names the on-call services that count for it, by commas.
Without the tag, all services count that the policy may name.
"""


def user_facts(
    user: User,
    *,
    role: Role | None = None,
    now: dt.datetime | None = None,
    on_call_now: bool = False,
) -> dict[str, Any]:
    """Return the person as policy reads them.

    `on_call_now` asks the on-call systems afresh, as every decision must (never inside a
    transaction); without it an answer of the last minute does, which is for showing only.
    """
    tag = role.tags.get(ON_CALL_TAG) if role is not None else None
    at = now or clock.now()
    standing = on_call.standing(
        user,
        now=at,
        names=None if tag is None else _listed(tag),
        fresh=on_call_now,
    )
    left = 0
    if standing.on_call_for:
        left = policy_facts.NO_WINDOW
        if standing.until is not None:
            left = max(int((standing.until - at).total_seconds()), 0)
    return {
        "id": user.username,
        "name": user.display_name,
        "groups": sorted(identity.groups_of(user)),
        "on_call_for": list(standing.on_call_for),
        "on_call_left": left,
        "acknowledged_for": list(standing.acknowledged_for),
        "on_call_known": standing.known,
        "on_call_checks": standing.checks,
        "manager": user.manager.username if user.manager else "",
        "attributes": user.attributes,
    }


def _listed(tag: str) -> list[str]:
    return [name.strip() for name in tag.split(",") if name.strip()]


def ticket_facts(
    ticket: TicketSnapshot | None, *, requester: User, now: dt.datetime, silent: str = ""
) -> dict[str, Any] | None:
    """Return the ticket as policy reads it; `silent` is the key of one whose system does not
    answer. Whoever is the requester under another account is named as the requester.
    """
    if ticket is None:
        return {"key": silent, "known": False} if silent else None
    accounts = identity.accounts_of_person(requester)
    theirs = {one.username for one in accounts} | {one.email.lower() for one in accounts} - {""}

    def named(who: str) -> str:
        return requester.username if who in theirs else who

    opened_by, changed_by = ticket.opened_by, ticket.changed_by
    return {
        **ticket.as_json(),
        "known": True,
        "opened_by": named(opened_by) if opened_by else None,
        "changed_by": None if changed_by is None else [named(who) for who in changed_by],
        "age": max(int((now - ticket.opened_at).total_seconds()), 0) if ticket.opened_at else None,
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
    channel: str,
    now: dt.datetime,
    silent_ticket: str = "",
    on_call_now: bool = True,
) -> policy_facts.Facts:
    """Return the facts of one ask, in plain values; whatever is unknown keeps the policy's
    fail-closed default. `silent_ticket` is the key of a ticket that nobody could check.

    Waits for the on-call systems, so never call it inside a transaction; `on_call_now` as
    in `user_facts`.
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
        user=user_facts(requester, role=role, now=now, on_call_now=on_call_now),
        role=catalog_facts.of_role(role),
        target=catalog_facts.of_target(role.target),
        ticket=ticket_facts(ticket, requester=requester, now=now, silent=silent_ticket),
        request=request,
        now=now,
    )

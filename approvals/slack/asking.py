"""Asking for a role from Slack: the modal's search, its fields, and the request itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from approvals.slack import blocks as b
from approvals.slack import client, config, limits, modals, payloads
from approvals.slack.models import SlackLink
from approvals.slack.text import literal
from jit.catalog import queries as catalog
from jit.identity import queries as identity
from jit.identity.authentication import actor_for
from jit.identity.models import User
from jit.kernel import clock
from jit.kernel.actor import Channel
from jit.kernel.errors import DomainError
from jit.workflow import offers, submit

MINUTE = 60
FOUND = 20
FIELDS = {"duration_seconds": "minutes"}
SHOWN = frozenset({"role", "ticket", "minutes", "justification"})


def options(*, user: User, q: str, now: dt.datetime) -> list[dict[str, Any]]:
    """Return the roles that match, those this person may ask for first."""
    rows = list(catalog.filter_roles(catalog.roles_visible_to(user), q=q)[:100])
    found = offers.offers(user=user, roles=[role for role in rows if role.enabled], now=now)
    return [
        {
            "text": b.plain(
                offer.role.slug if offer.eligible else f"{offer.role.slug} (not for you)",
                limits.OPTION,
            ),
            "value": offer.role.slug[: limits.OPTION],
        }
        for offer in found[:FOUND]
    ]


def submitted(
    payload: Mapping[str, Any], *, link: SlackLink, digest: str, now: dt.datetime
) -> dict[str, Any]:
    """Check the fields at once; ask afterwards, for a ticket system may take its time. The modal
    stays open and shows how it went.
    """
    view = payload["view"]
    minutes = modals.typed(view, "minutes").strip()
    whole = minutes.isascii() and minutes.isdigit() and len(minutes) <= len("999999")
    ask = submit.Ask(
        role=modals.typed(view, "role"),
        ticket=modals.typed(view, "ticket").strip()[:200],
        justification=modals.typed(view, "justification"),
        duration_seconds=int(minutes) * MINUTE if whole else 0,
    )
    try:
        submit.validate(ask, now)
        catalog.requestable_role(ask.role)
    except DomainError as refusal:
        return modals.errors(_beside(refusal))
    payloads.remember(
        digest=f"ask:{digest}",
        kind="ask",
        body={
            "action": "ask",
            "user": str(link.user_id),
            "view": str(view.get("id", ""))[:40],
            "role": ask.role,
            "ticket": ask.ticket,
            "justification": ask.justification,
            "duration_seconds": ask.duration_seconds,
        },
        queued=True,
        now=now,
    )
    return {
        "response_action": "update",
        "view": modals.told("Asking… this window says in a moment how it went."),
    }


def _beside(refusal: DomainError) -> dict[str, str]:
    found = {FIELDS.get(name, name): " ".join(words) for name, words in refusal.fields.items()}
    return {name: words for name, words in found.items() if name in SHOWN} or {
        "justification": literal(refusal.detail, 500)
    }


def work(body: Mapping[str, Any]) -> str:
    """Submit the request that a modal asked for and say in the modal how it went. Safe to
    repeat: the modal's id is the idempotency key.
    """
    user = identity.person(UUID(body["user"]))
    if user is None or not user.is_active:
        return "AccountDisabled"
    try:
        request, _ = submit.submit(
            requester=user,
            ask=submit.Ask(
                role=body["role"],
                ticket=body["ticket"],
                justification=body["justification"],
                duration_seconds=body["duration_seconds"],
            ),
            actor=actor_for(user, channel=Channel.SLACK),
            now=clock.now(),
            idempotency_key=f"slack:{body['view']}",
        )
    except DomainError as refusal:
        fields = [" ".join(words) for words in refusal.fields.values()]
        _say(body, "Not asked.", refusal.detail, *fields)
        return refusal.code
    _say(
        body,
        f"Asked for {request.role.slug}: {request.state.lower()}.",
        f"Follow it in your messages from this app or at {config.page(f'requests/{request.pk}/')}",
    )
    return "asked"


def _say(body: Mapping[str, Any], *words: str) -> None:
    try:
        client.call(client.web().views_update, view_id=body["view"], view=modals.told(*words))
    except client.Trouble:
        return  # The window was closed; the requester's message tells.

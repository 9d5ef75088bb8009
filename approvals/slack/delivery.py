"""Post a copy once and redraw it: the network half, never inside a transaction."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.core.cache import cache

from approvals.slack import blocks as b
from approvals.slack import client, config, copies, links
from approvals.slack.models import SlackMessage
from approvals.slack.setup import ensure_installation
from jit.identity.models import User
from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)

PAUSE = "slack:pause"
EVENT = "jit_copy"
LOOK_BACK = 10.0
HISTORY = 100
LATER = 1.0


class NoAddress(Exception):
    """The person can't be reached in Slack."""


def deliver(message_id: UUID) -> None:
    """Bring one copy up to date; what fails is tried again by the sweep."""
    if config.current() is None or paused():
        return
    again = True
    while again:
        held = copies.claim(message_id)
        if held is None:
            return
        again = _draw(held)


def _draw(held: copies.Claim) -> bool:
    try:
        channel = held.copy.channel or _address(held.copy)
        ts = held.copy.ts
        if not ts and held.sought:
            ts = _find(held, channel)
        if ts:
            _update(held, channel=channel, ts=ts)
        else:
            if not client.may_post(channel):
                copies.later(held, seconds=LATER)
                return False
            ts = _post(held, channel)
    except NoAddress as unreachable:
        copies.failed(held, error=str(unreachable), permanent=True)
        return False
    except client.Trouble as trouble:
        if trouble.retry_after is not None:
            pause(trouble.retry_after)
        log.warning("Slack did not take a copy of %s: %s", held.copy.request_id, trouble)
        copies.failed(
            held,
            error=str(trouble),
            permanent=trouble.permanent,
            happened=trouble.ambiguous,
            retry_after=trouble.retry_after,
        )
        return False
    return copies.drawn(held, channel=channel, ts=ts)


def _post(held: copies.Claim, channel: str) -> str:
    copies.attempting(held, channel=channel)
    answer = client.call(
        client.web().chat_postMessage,
        channel=channel,
        text=held.drawing.text,
        blocks=held.drawing.blocks,
        metadata={"event_type": EVENT, "event_payload": {"copy": str(held.copy.pk)}},
        unfurl_links=False,
        unfurl_media=False,
    )
    return str(answer["ts"])


def _update(held: copies.Claim, *, channel: str, ts: str) -> None:
    if held.drawing.digest() == held.copy.drawn_digest:
        return
    client.call(
        client.web().chat_update,
        channel=channel,
        ts=ts,
        text=held.drawing.text,
        blocks=held.drawing.blocks,
        metadata={"event_type": EVENT, "event_payload": {"copy": str(held.copy.pk)}},
    )


def _find(held: copies.Claim, channel: str) -> str:
    """Return the ts of a post whose answer was lost, or "" where it never arrived."""
    since = held.copy.attempted_at
    return find(channel=channel, name="copy", value=str(held.copy.pk), since=since)


def find(
    *, channel: str, name: str, value: str, since: dt.datetime | None, thread: str = ""
) -> str:
    """Return the ts of our message with this in its metadata, or "". Raises Trouble."""
    oldest = f"{since.timestamp() - LOOK_BACK:.6f}" if since else "0"
    web = client.web()
    where: dict[str, Any] = {"channel": channel, "oldest": oldest, "limit": HISTORY}
    method: Callable[..., Any] = web.conversations_history
    if thread:
        method, where["ts"] = web.conversations_replies, thread
    try:
        answer = client.call(method, include_all_metadata=True, **where)
    except client.Trouble as trouble:
        if trouble.code in {"missing_scope", "not_in_channel"}:
            # A channel we may not read: two copies are the lesser evil, each one's buttons work.
            return ""
        raise
    for message in answer.get("messages", ()):
        payload = (message.get("metadata") or {}).get("event_payload") or {}
        if payload.get(name) == value:
            return str(message["ts"])
    return ""


# --- Where to -------------------------------------------------------------------------


def _address(copy: SlackMessage) -> str:
    """Return the channel of this copy. Raises NoAddress and Trouble."""
    if copy.user is None:
        return config.required().channel
    return direct_channel(copy.user)


def direct_channel(user: User) -> str:
    """Return the conversation with this person: their linked account or, for delivery alone,
    the one with their e-mail address. Raises NoAddress and Trouble.
    """
    ensure_installation()
    web = client.web()
    link = links.account_of(user)
    slack_user = link.slack_user_id if link else _by_email(user)
    answer = client.call(web.conversations_open, users=slack_user)
    return str(answer["channel"]["id"])


def _by_email(user: User) -> str:
    if not user.email:
        raise NoAddress(f"{user.username} has neither a linked Slack account nor an e-mail address")
    try:
        answer = client.call(client.web().users_lookupByEmail, email=user.email)
    except client.Trouble as trouble:
        if trouble.code == "users_not_found":
            raise NoAddress(f"{user.username} is not in this Slack workspace") from trouble
        raise
    profile = answer.get("user")
    if not isinstance(profile, Mapping) or not profile.get("id"):
        raise client.Trouble("unreadable", ambiguous=True)
    told = (profile.get("profile") or {}).get("email", "")
    if str(told).casefold() != user.email.casefold():
        raise NoAddress(f"Slack answered with somebody else than {user.username}'s e-mail address")
    found = links.installation()
    if links.standing_of(profile, team_id=found.team_id if found else ""):
        raise NoAddress(f"{user.username} is no full member of this Slack workspace")
    return str(profile["id"])


# --- Slack asked us to wait -------------------------------------------------------------


def pause(seconds: float) -> None:
    try:
        cache.set(PAUSE, 1, timeout=max(int(dt.timedelta(seconds=seconds).total_seconds()), 1))
    except Exception:  # without the cache each copy waits for itself
        log.warning("the pause Slack asked for can't be shared", exc_info=True)


def paused() -> bool:
    try:
        return cache.get(PAUSE) is not None
    except Exception:  # noqa: BLE001 -- losing the cache may not stop a message
        return False


# --- The operators' test --------------------------------------------------------------


class TestNotPosted(DomainError):
    """Slack did not take the test message."""


def post_test(*, user: User) -> None:
    """Post a test message to this person's own conversation. Raises TestNotPosted."""
    try:
        client.call(
            client.web().chat_postMessage,
            channel=direct_channel(user),
            text="JIT access: a test message",
            blocks=[b.lines([b.word("A test message: posting works. Type /jit to try the rest.")])],
        )
    except (NoAddress, client.Trouble) as why:
        raise TestNotPosted(f"Slack did not take it: {why}") from why

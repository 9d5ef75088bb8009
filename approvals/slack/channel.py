"""Slack as a channel of notifications: a reply in the thread of the person's own copy.

The copies themselves are drawn from the database at every change; what is asked is told by the
copy, so a notification of it only makes sure that the copy is there.
"""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from approvals.slack import blocks as b
from approvals.slack import client, config, copies, delivery, limits
from approvals.slack.models import Audience, Fate, SlackMessage
from jit.elevation import queries as elevation
from jit.identity.models import User
from jit.notifications import wording
from jit.notifications.channels.base import DeliveryFailed, Note
from jit.notifications.kinds import Kind

ASKING = frozenset({Kind.ASKED, Kind.ESCALATED})
WAIT = 10.0


class Slack:
    """Delivers notes to people; see `jit.notifications.channels.base.Channel`."""

    def deliver(self, note: Note) -> str | None:
        """Deliver the note once; return its ts. Raises DeliveryFailed."""
        if config.current() is None:
            raise DeliveryFailed("Slack is off", permanent=True)
        if note.recipient is None:
            raise DeliveryFailed("nobody to tell", permanent=True)
        if delivery.paused():
            raise DeliveryFailed("Slack asked us to wait", retry_after=WAIT)
        copy = _copy_for(note, note.recipient)
        if note.kind in ASKING and copy is not None:
            return _shown(copy)
        if copy is not None and copy.fate == Fate.WAITING:
            # What there is to say belongs to that message, not beside it.
            raise DeliveryFailed("its message is not posted yet", paced=True)
        if _told_by_copy(note, copy):
            return copy.ts if copy else None
        try:
            return _reply(note, note.recipient, copy)
        except delivery.NoAddress as unreachable:
            raise DeliveryFailed(str(unreachable), permanent=True) from unreachable
        except client.Trouble as trouble:
            if trouble.retry_after is not None:
                delivery.pause(trouble.retry_after)
            raise DeliveryFailed(
                f"Slack: {trouble}",
                permanent=trouble.permanent,
                retry_after=trouble.retry_after,
                lane_down=trouble.ambiguous or trouble.code == "unreachable",
            ) from trouble


def _copy_for(note: Note, recipient: User) -> SlackMessage | None:
    """Return the person's own copy of the request that the note is about, making it if need be."""
    request_id = _request_of(note)
    if request_id is None:
        return None
    asking = note.kind in ASKING
    audience = Audience.APPROVER
    if str(note.payload.get("requester", "")) == recipient.username:
        audience = Audience.REQUESTER
    found = copies.of(request_id=request_id, user=recipient, audience=audience)
    if found is None and (asking or audience == Audience.REQUESTER):
        try:
            copies.plan(request_id=request_id, force=False, asked=recipient if asking else None)
        except elevation.UnknownRequest:
            return None
        found = copies.of(request_id=request_id, user=recipient, audience=audience)
    if found is not None and found.fate == Fate.WAITING:
        delivery.deliver(found.pk)
        found = copies.of(request_id=request_id, user=recipient, audience=audience)
    return found


def _request_of(note: Note) -> UUID | None:
    try:
        return UUID(str(note.payload.get("request", "")))
    except ValueError:
        return None


def _shown(copy: SlackMessage) -> str | None:
    if copy.fate == Fate.POSTED:
        return copy.ts
    if copy.fate == Fate.WAITING:
        # Somebody else is posting it this moment, unless it went wrong.
        raise DeliveryFailed(copy.last_error or "not posted yet", paced=not copy.last_error)
    raise DeliveryFailed(copy.last_error or copy.get_fate_display(), permanent=True)


def _told_by_copy(note: Note, copy: SlackMessage | None) -> bool:
    """Return whether an approver's redrawn copy says it all: who decided, and when."""
    return (
        note.kind == Kind.DECIDED
        and copy is not None
        and copy.audience == Audience.APPROVER
        and copy.fate == Fate.POSTED
    )


def _reply(note: Note, recipient: User, copy: SlackMessage | None) -> str:
    posted = copy is not None and copy.fate == Fate.POSTED
    channel = copy.channel if copy is not None and posted else delivery.direct_channel(recipient)
    thread = copy.ts if copy is not None and posted else ""
    if note.attempt > 1:
        since = note.created_at - dt.timedelta(minutes=1)
        value = str(note.id)
        found = delivery.find(channel=channel, name="note", value=value, since=since, thread=thread)
        if found:
            return found
    if not client.may_post(channel):
        raise DeliveryFailed("one message a second in each channel", paced=True)
    words = wording.words(
        note.kind, note.payload, wording.Reader(recipient.username, recipient.timezone)
    )
    facts = [] if thread else [b.fact(name, value) for name, value in words.facts]
    blocks = [
        b.lines([b.word(words.title, bold=True)], *facts),
        b.actions(b.button(words.action, "open", url=words.link)),
    ]
    fallback = f"JIT access: {note.kind.value.replace('-', ' ')}"
    limits.check_message(blocks, fallback)
    answer = client.call(
        client.web().chat_postMessage,
        channel=channel,
        text=fallback,
        blocks=blocks,
        thread_ts=thread or None,
        metadata={"event_type": delivery.EVENT, "event_payload": {"note": str(note.id)}},
        unfurl_links=False,
        unfurl_media=False,
    )
    return str(answer["ts"])

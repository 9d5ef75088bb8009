"""Tickets as a channel of notifications: what became of a request, written under its ticket.

What is written names people, roles and times, and never repeats what somebody typed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.kernel.text import one_line
from jit.notifications import wording
from jit.notifications.channels.base import DeliveryFailed, Note
from jit.notifications.kinds import Kind
from jit.tickets.adapters import registry
from jit.tickets.adapters.base import TicketNotFound, TicketSystemUnavailable
from jit.workflow import ports

MOST_RECORDINGS = 20
REASONS = {
    "expired": "its time was over",
    "returned": "it was given back",
    "revoked": "it was revoked",
    "ticket-closed": "the ticket was closed",
    "requester-left": "the account was disabled",
    "policy": "the policy in force said no",
    "activation-failed": "it could not be made to work",
}


class TicketComments:
    """Writes one comment a note; see `jit.notifications.channels.base.Channel`."""

    def deliver(self, note: Note) -> str | None:
        """Write the comment once, however often it is tried. Raises DeliveryFailed."""
        system, key = str(note.payload.get("ticket_system")), str(note.payload.get("ticket"))
        try:
            registry.system(system).comment(key, words(note.kind, note.payload), f"jit:{note.id}")
        except TicketSystemUnavailable as silent:
            raise DeliveryFailed(silent.detail, lane_down=True) from silent
        except (TicketNotFound, registry.UnknownTicketSystem) as gone:
            raise DeliveryFailed(gone.detail, permanent=True) from gone
        except DomainError as refusal:
            raise DeliveryFailed(refusal.detail) from refusal
        return key


def words(kind: Kind, payload: Mapping[str, Any]) -> str:
    """Return the comment: a sentence, where to read more, and the recordings once it ended."""
    lines = [_sentence(kind, payload), wording.link(payload)]
    if kind == Kind.ENDED:
        recordings = ports.sessions().recordings(grant_id=UUID(str(payload["grant"])))
        lines += [f"Recording: {address}" for address in recordings[:MOST_RECORDINGS]]
    return "\n".join(lines)


def _sentence(kind: Kind, payload: Mapping[str, Any]) -> str:
    if kind == Kind.DECIDED:
        return _decided(payload)
    what = f"{_told(payload, 'role')} on {_told(payload, 'target')}"
    who = _told(payload, "requester")
    if kind == Kind.ACTIVE:
        since, until = _at(payload, "since"), _at(payload, "until")
        return f"Active from {since} until {until}: {who} has {what}."
    if kind == Kind.ENDED:
        reason = REASONS.get(_told(payload, "reason"), _told(payload, "reason"))
        return f"Ended at {_at(payload, 'at')}: {who}'s {what}; {reason}."
    if kind == Kind.BREAK_GLASS_USED:
        return f"{who} broke the glass for {_long(payload)} of {what}."
    return f"{_ask(payload)}."


def _decided(payload: Mapping[str, Any]) -> str:
    verdict = _told(payload, "verdict")
    what = f"{_told(payload, 'role')} for {_told(payload, 'requester')}"
    if verdict in {"lapsed", "withdrawn"}:
        why = "nobody answered in time" if verdict == "lapsed" else "it was withdrawn"
        return f"Not given: {what}; {why}."
    if not _told(payload, "by"):
        return f"{_ask(payload)}; policy approved it without asking anybody."
    if verdict == "deny":
        return f"Denied by {_told(payload, 'voices')}: {what}."
    rest = "" if payload.get("final") is True else " The next of its steps is asked now."
    step = f"step {_told(payload, 'position')}"
    return f"Approved by {_told(payload, 'voices')} ({step}): {what}, {_long(payload)}.{rest}"


def _ask(payload: Mapping[str, Any]) -> str:
    more = " more" if payload.get("extends") is True else ""
    what = f"{_told(payload, 'role')} on {_told(payload, 'target')}"
    return f"{_told(payload, 'requester')} asks for {_long(payload)}{more} of {what}"


def _long(payload: Mapping[str, Any]) -> str:
    return wording.duration(payload.get("duration_seconds"))


def _told(payload: Mapping[str, Any], name: str) -> str:
    return one_line(payload.get(name) or "")


def _at(payload: Mapping[str, Any], name: str) -> str:
    try:
        return clock.utc_words(dt.datetime.fromisoformat(str(payload.get(name) or "")))
    except ValueError:
        return "?"

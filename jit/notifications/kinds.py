"""The closed list of what people hear of, and what is sent where unless they choose otherwise."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum

IN_APP, EMAIL, WEBHOOK, TICKET = "in_app", "email", "webhook", "ticket"
"""The channels of this package; settings may add others (`slack`)."""


class Kind(StrEnum):
    ASKED = "asked"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    DECIDED = "decided"
    ACTIVE = "active"
    ENDING_SOON = "ending-soon"
    ENDED = "ended"
    TICKET_CLOSED = "ticket-closed"
    BREAK_GLASS_USED = "break-glass-used"
    REVIEW_DUE = "review-due"
    REVOCATION_STUCK = "revocation-stuck"
    ORPHAN = "orphan"
    WEBHOOK_DISABLED = "webhook-disabled"
    DELEGATION_OFFERED = "delegation-offered"
    DELEGATION_ACCEPTED = "delegation-accepted"
    DELEGATION_ENDED = "delegation-ended"
    TEST = "test"


DESCRIPTIONS: dict[Kind, str] = {
    Kind.ASKED: "A request waits for your decision",
    Kind.REMINDER: "A request still waits for your decision",
    Kind.ESCALATED: "A request was escalated to you",
    Kind.DECIDED: "A request of yours, or one you were asked about, is decided",
    Kind.ACTIVE: "Your grant is active",
    Kind.ENDING_SOON: "Your grant ends in 10 minutes",
    Kind.ENDED: "Your grant has ended",
    Kind.TICKET_CLOSED: "A ticket was closed and your grant ends early",
    Kind.BREAK_GLASS_USED: "Somebody broke the glass past you",
    Kind.REVIEW_DUE: "An after-review is overdue",
    Kind.REVOCATION_STUCK: "A revocation is stuck (operators)",
    Kind.ORPHAN: "Access of ours that no grant accounts for was found (operators)",
    Kind.WEBHOOK_DISABLED: "A webhook was disabled (operators)",
    Kind.DELEGATION_OFFERED: "Somebody asks you to decide for them",
    Kind.DELEGATION_ACCEPTED: "Somebody decides for you, or on a role you own",
    Kind.DELEGATION_ENDED: "Somebody no longer decides for another",
    Kind.TEST: "A test of a channel",
}

CHOOSABLE = tuple(kind for kind in Kind if kind is not Kind.TEST)
"""What people may have preferences about; a test goes where it is sent."""

NO_MAIL_UNLESS_WANTED = frozenset({Kind.ACTIVE, Kind.ENDING_SOON, Kind.ENDED})
"""What the requester sees on the page anyway; a mail of it is for those who ask for one."""

SHELF_LIFE: dict[Kind, dt.timedelta] = {
    Kind.ENDING_SOON: dt.timedelta(minutes=10),
    Kind.ACTIVE: dt.timedelta(hours=1),
    Kind.BREAK_GLASS_USED: dt.timedelta(days=3),
    Kind.REVIEW_DUE: dt.timedelta(days=3),
    Kind.ORPHAN: dt.timedelta(days=3),
    Kind.WEBHOOK_DISABLED: dt.timedelta(days=3),
    Kind.DELEGATION_OFFERED: dt.timedelta(days=31),
}
"""How long it is worth telling a person, unless the teller knows better."""
DEFAULT_SHELF_LIFE = dt.timedelta(days=1)
BOOKS_SHELF_LIFE = dt.timedelta(days=3)
"""Programs and tickets want what happened even when it is over: they keep books, not
appointments.
"""


def sent_by_default(kind: Kind, channel: str) -> bool:
    """Return whether `kind` goes through `channel` to somebody who never chose."""
    return channel != EMAIL or kind not in NO_MAIL_UNLESS_WANTED


def defaults(channels: Iterable[str]) -> list[str]:
    """Return every `"kind channel"` pair that is sent by default, for the one statement that
    writes the outbox.
    """
    return [
        f"{kind} {channel}"
        for channel in channels
        for kind in Kind
        if sent_by_default(kind, channel)
    ]


def shelf_life(kind: Kind) -> dt.timedelta:
    return SHELF_LIFE.get(kind, DEFAULT_SHELF_LIFE)

"""How much waits for a person, for every page's frame."""

from __future__ import annotations

from dataclasses import dataclass

from jit.identity.models import User
from jit.notifications import queries as notifications
from jit.workflow import tell
from jit.workflow.ports import approvals

MOST = 100
"""More than that need not be counted."""


@dataclass(frozen=True, slots=True)
class Waits:
    """`asks` are requests that wait for the person's decision, `unread` their notifications,
    `total` what the window's title shows: a request and the notification of it count once.
    """

    asks: int
    unread: int
    total: int


def of(user: User) -> Waits:
    asks = approvals().waiting(user, most=MOST)
    unread, others = notifications.unread_counts(user, besides=tell.ASKING)
    return Waits(asks=asks, unread=unread, total=asks + others)

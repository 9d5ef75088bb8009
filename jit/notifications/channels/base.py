"""What a channel is: it delivers one note, or says whether trying again makes sense."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable
from uuid import UUID

from django.conf import settings

from jit.audit.operations import Subject
from jit.identity.models import User
from jit.kernel import backends
from jit.notifications.kinds import TICKET, WEBHOOK, Kind
from jit.notifications.models import WebhookEndpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One message on its way to one place. `id` stays the same over all tries, so that a
    receiver can tell a repetition; `attempt` counts from 1.
    """

    id: UUID
    kind: Kind
    key: str
    recipient: User | None
    endpoint: WebhookEndpoint | None
    subject: Subject
    payload: Mapping[str, Any]
    created_at: dt.datetime
    expires_at: dt.datetime
    attempt: int


class DeliveryFailed(Exception):
    """The message did not get through. `permanent`: no try will change that. `retry_after`:
    seconds that the other side asked us to wait. `lane_down`: nothing gets through there, so
    the rest is not even tried until then. `gone`: the place itself is no more. `paced`: nothing
    failed, it is only not this message's turn yet; it waits `retry_after`, the rest goes on.
    """

    def __init__(
        self,
        why: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        lane_down: bool = False,
        gone: bool = False,
        paced: bool = False,
    ) -> None:
        super().__init__(why)
        self.permanent = permanent or gone
        self.retry_after = retry_after
        self.lane_down = lane_down or retry_after is not None
        self.gone = gone
        self.paced = paced


class Channel(Protocol):
    def deliver(self, note: Note) -> str | None:
        """Deliver the note and return the other side's receipt, if it gives one.

        Called outside any transaction; must bound its own time. Raises DeliveryFailed.
        """


@runtime_checkable
class BatchChannel(Protocol):
    """A channel that is cheaper to use for many notes than for each alone."""

    def deliver(self, note: Note) -> str | None:
        """Deliver one note."""

    def deliver_all(self, notes: Sequence[Note]) -> None:
        """Deliver all of these notes, or raise DeliveryFailed and none counts as delivered."""


def channel(name: str) -> Channel:
    """Return the channel that settings name so. Raises KeyError and ImportError."""
    return cast("Channel", backends.at(settings.NOTIFICATION_CHANNELS[name]))


def all_names() -> list[str]:
    return list(settings.NOTIFICATION_CHANNELS)


def personal() -> list[str]:
    """Return the names of the channels that reach persons, in the order of the settings."""
    return [name for name in settings.NOTIFICATION_CHANNELS if name not in {WEBHOOK, TICKET}]

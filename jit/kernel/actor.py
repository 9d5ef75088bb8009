"""Who acts, and through which channel: every write names one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Channel(StrEnum):
    WEB = "web"
    API = "api"
    SLACK = "slack"
    CLI = "cli"
    SCHEDULE = "schedule"


class ActorKind(StrEnum):
    USER = "user"
    SERVICE = "service"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts. `id` is the user's id (UUID as text) or the clock's name; `name` the
    short name people read (`rita`).
    """

    kind: ActorKind
    id: str
    name: str
    channel: Channel

    def __str__(self) -> str:
        return self.name


CLOCK = Actor(kind=ActorKind.CLOCK, id="clock", name="clock", channel=Channel.SCHEDULE)

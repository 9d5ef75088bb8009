"""What every on-call system answers: who has the pager, and who took which incident."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from jit.kernel.errors import DomainError


class OnCallUnavailable(DomainError):
    """The on-call system could not be asked, or answered nonsense: then nobody counts as on
    call, and people decide.
    """

    status = 503
    title = "The on-call system can't be reached"


class OnCallServiceNotFound(DomainError):
    """The on-call system answered, and does not know what the settings name."""

    status = 422
    title = "The on-call system knows no such service"


@dataclass(frozen=True, slots=True)
class Contact:
    """How the on-call system knows a human: as our username, where somebody bound the two, or
    by an e-mail address, which must then be that of exactly one of our active people.
    """

    username: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class OnCallPerson:
    """Somebody who has the pager now. `level` is the escalation level, 1 is called first;
    `until` is the end of the shift, None for one without an end.
    """

    contact: Contact
    level: int
    until: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Incident:
    """An open incident that somebody acknowledged; `key` is the system's own name for it."""

    key: str
    acknowledged_by: tuple[Contact, ...]


class OnCallSystem(Protocol):
    """An adapter; made by `registry` as `Adapter(name=…, **its settings)`.

    `service` is the system's part of an entry of `settings.ONCALL_SERVICES`: operators write
    it, never a requester. The adapters read no table, since they run in threads of their own.
    """

    name: str
    url: str

    def check(self, service: str) -> None:
        """Raise ValueError when `service` can't be read. Asks nobody."""

    def concerns(self, service: str, thing: str) -> bool:
        """Return whether `service` names `thing`, by the system's own id. Asks nobody."""

    def who_is_on_call(self, service: str) -> tuple[OnCallPerson, ...]:
        """Return who has the pager of `service` now, the first levels only.

        Raises OnCallUnavailable and OnCallServiceNotFound; never answers from a cache.
        """

    def incidents_of(self, service: str) -> tuple[Incident, ...]:
        """Return the open, acknowledged incidents of `service`. Raises as `who_is_on_call`."""

"""What every ticket system answers: a snapshot of a ticket, or a refusal that says why."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from jit.kernel import clock
from jit.kernel.errors import DomainError

LONGEST_TITLE = 300


class TicketNotFound(DomainError):
    """The ticket system answered, and knows no such ticket."""

    status = 422
    title = "There is no such ticket"


class TicketForbidden(TicketNotFound):
    """The ticket exists perhaps, but our service account may not read it: so nothing about it
    can be verified, and it counts as no ticket at all.
    """

    title = "The ticket can't be read"


class TicketSystemUnavailable(DomainError):
    """The ticket system could not be asked: what then happens is for the policy to say."""

    status = 503
    title = "The ticket system can't be reached"


@dataclass(frozen=True, slots=True)
class TicketSnapshot:
    """A ticket as it was at `fetched_at`.

    `severity` runs from 1 (worst) to 5 and is None where the system names none that we can
    read. `assignee` is our username or an e-mail address in lower case. `url` is built by us
    from the configured host and the key, never taken from the requester. `title` is somebody
    else's text: escape it wherever it is drawn.

    `opened_by` and `changed_by` name people as `assignee` does: who opened it, and everybody
    who changed since then what policy reads of it. They and `opened_at` are None where the
    system does not tell; `unknown` names further fields that it keeps to itself.
    """

    system: str
    key: str
    url: str
    title: str
    status: str
    is_open: bool
    severity: int | None
    assignee: str | None
    service: str
    type: str
    fetched_at: dt.datetime
    opened_by: str | None = None
    opened_at: dt.datetime | None = None
    changed_by: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the snapshot as plain JSON values, the time as RFC 3339 in UTC."""
        return {
            **asdict(self),
            "fetched_at": clock.rfc3339(self.fetched_at),
            "opened_at": clock.rfc3339(self.opened_at) if self.opened_at else None,
            "changed_by": None if self.changed_by is None else list(self.changed_by),
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TicketSnapshot:
        """Return the snapshot that `as_json` wrote, also that of an older version."""
        opened_at, changed_by = stored.get("opened_at"), stored.get("changed_by")
        return cls(
            **{
                **stored,
                "fetched_at": dt.datetime.fromisoformat(stored["fetched_at"]),
                "opened_at": dt.datetime.fromisoformat(opened_at) if opened_at else None,
                "changed_by": None if changed_by is None else tuple(changed_by),
                "unknown": tuple(stored.get("unknown", ())),
            }
        )


class TicketSystem(Protocol):
    """An adapter; made by `registry` as `Adapter(name=…, **its settings)`."""

    name: str

    def key_of(self, reference: str) -> str | None:
        """Return the normal form of the key when `reference` is a key or an address of this
        system, else None. Pure: asks nobody.
        """

    def fetch(self, key: str) -> TicketSnapshot:
        """Return the ticket as it is now.

        Raises TicketNotFound, TicketForbidden or TicketSystemUnavailable; never answers from
        a cache. Not inside a transaction.
        """

    def comment(self, key: str, text: str, marker: str) -> None:
        """Write `text` under the ticket once: a comment that already carries `marker` is
        left as it is, so a retry after a crash does not repeat it. Raises as `fetch`.
        """

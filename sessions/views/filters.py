"""What the list of sessions is narrowed to, as the page's address says it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from jit.kernel.errors import InvalidInput

LONGEST = 200
_YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Filters:
    """All of it is text, as typed; empty means everything one may see."""

    user: str = ""
    role: str = ""
    target: str = ""
    ticket: str = ""
    approver: str = ""
    state: str = ""
    since: str = ""
    until: str = ""
    break_glass: str = ""
    flagged: str = ""
    q: str = ""

    @classmethod
    def from_query(cls, given: Mapping[str, Any]) -> Filters:
        return cls(
            **{
                name: str(given.get(name, "")).strip().replace("\0", "")[:LONGEST]
                for name in cls.__slots__
            }
        )

    def as_query(self) -> str:
        return urlencode({name: value for name, value in asdict(self).items() if value})

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def narrowing(self) -> dict[str, Any]:
        """Return the arguments of `queries.filter_sessions`. Raises InvalidInput."""
        named = ("user", "role", "target", "ticket", "approver", "state")
        return {
            **{name: getattr(self, name) for name in named},
            "since": _day(self.since),
            "until": _day(self.until, days=1),
            "break_glass": _YES_NO.get(self.break_glass),
            "flagged": _YES_NO.get(self.flagged),
        }


def _day(text: str, *, days: int = 0) -> dt.datetime | None:
    """Return the beginning of a day in the reader's zone, `days` later."""
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text) + dt.timedelta(days=days)
    except (ValueError, OverflowError):
        raise InvalidInput("Give the days as dates, such as 2030-01-31.") from None
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))

"""Lists a page at a time, by where the last one ended; never by counting rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the mark by which the next ones are asked for (or empty)."""

    rows: list[Any]
    next: str


def newest_first(rows: QuerySet[Any], *, after: str, limit: int = PER_PAGE) -> Page:
    """Return the rows after the mark, ordered by `created_at` and `id`, newest first. A mark
    that can't be read means the beginning.
    """
    try:
        at, _, pk = after.partition("_")
        moment, key = dt.datetime.fromisoformat(at), UUID(pk)
    except ValueError:
        pass
    else:
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, id__lt=key))
    found = list(rows.order_by("-created_at", "-id")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    last = found[-1] if found else None
    return Page(found, f"{last.created_at.isoformat()}_{last.pk}" if more and last else "")

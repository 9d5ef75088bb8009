"""Lists a page at a time, by where the last one ended; never by counting rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from jit.kernel import clock

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the mark by which the next ones are asked for (or empty)."""

    rows: list[Any]
    next: str


def newest_first(
    rows: QuerySet[Any], *, after: str, limit: int = PER_PAGE, field: str = "created_at"
) -> Page:
    """Return the rows after the mark, ordered by `field` and `id`, newest first. A mark that
    can't be read means the beginning.
    """
    at, _, pk = after.partition("_")
    moment = clock.aware(at)
    try:
        key = UUID(pk)
    except ValueError:
        moment = None
    if moment is not None:
        earlier = Q(**{f"{field}__lt": moment}) | Q(**{field: moment, "id__lt": key})
        rows = rows.filter(earlier)
    found = list(rows.order_by(f"-{field}", "-id")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    last = found[-1] if found else None
    mark = f"{getattr(last, field).isoformat()}_{last.pk}" if more and last else ""
    return Page(found, mark)

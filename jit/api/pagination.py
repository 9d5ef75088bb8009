"""Keyset pages: stable while rows come in, and as fast at the end as at the start."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from drf_spectacular.utils import OpenApiParameter

from jit.kernel.errors import InvalidInput

DEFAULT_LIMIT = 50
LONGEST_LIMIT = 200
PARAMETERS = [OpenApiParameter("cursor", str), OpenApiParameter("limit", str)]
"""What the document says of every list that is paged."""


@dataclass(frozen=True, slots=True)
class Page[Row]:
    items: list[Row]
    next: str | None


def limit_of(asked: str | None) -> int:
    """Return the page's length. Raises InvalidInput unless it is 1 to 200."""
    if asked is None:
        return DEFAULT_LIMIT
    if not asked.isascii() or not asked.isdecimal() or not 1 <= int(asked) <= LONGEST_LIMIT:
        raise InvalidInput(
            f"`limit` is a number from 1 to {LONGEST_LIMIT}.",
            fields={"limit": [f"1 to {LONGEST_LIMIT}."]},
        )
    return int(asked)


def encode(*key: Any) -> str:
    """Return an opaque cursor for the place after `key`."""
    text = json.dumps([str(part) for part in key]).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(cursor: str) -> list[str]:
    """Return a cursor's parts. Raises InvalidInput for one that we did not write."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InvalidInput(
            "This cursor is not one of ours: leave it out to start from the first page.",
            fields={"cursor": ["Not a cursor."]},
        )
    return parts


def newest_first[Row: Model](
    rows: QuerySet[Row], *, cursor: str | None, limit: str | None, field: str = "created_at"
) -> Page[Row]:
    """Return one page of `rows`, newest first by (`field`, id)."""
    return _page(rows, field=field, cursor=cursor, limit=limit, down=True)


def soonest_first[Row: Model](
    rows: QuerySet[Row], *, cursor: str | None, limit: str | None, field: str
) -> Page[Row]:
    """Return one page of `rows`, the soonest first by (`field`, id)."""
    return _page(rows, field=field, cursor=cursor, limit=limit, down=False)


def _page[Row: Model](
    rows: QuerySet[Row], *, field: str, cursor: str | None, limit: str | None, down: bool
) -> Page[Row]:
    size = limit_of(limit)
    beyond, sign = ("lt", "-") if down else ("gt", "")
    if cursor:
        at, key = _place(cursor, rows.model)
        rows = rows.filter(
            Q(**{f"{field}__{beyond}": at}) | Q(**{field: at, f"pk__{beyond}": key}),
            **{f"{field}__{beyond}e": at},
        )
    found = list(rows.order_by(f"{sign}{field}", f"{sign}pk")[: size + 1])
    more = len(found) > size
    found = found[:size]
    return Page(
        items=found,
        next=encode(getattr(found[-1], field).isoformat(), found[-1].pk) if more else None,
    )


def _place(cursor: str, model: type[Model]) -> tuple[dt.datetime, Any]:
    parts = decode(cursor)
    try:
        at, key = parts
        return dt.datetime.fromisoformat(at), model._meta.pk.to_python(key)  # noqa: SLF001 -- documented
    except (ValueError, ValidationError) as malformed:
        raise InvalidInput(
            "This cursor is not one of ours: leave it out to start from the first page.",
            fields={"cursor": ["Not a cursor."]},
        ) from malformed

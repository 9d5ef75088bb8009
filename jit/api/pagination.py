"""Keyset pages: stable while rows come in, and as fast at the end as at the start."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

from jit.kernel import clock
from jit.kernel.errors import UnknownCursor


@dataclass(frozen=True, slots=True)
class Page[Row]:
    items: list[Row]
    next: str | None


def encode(*key: Any) -> str:
    """Return an opaque cursor for the place after `key`."""
    text = json.dumps([str(part) for part in key]).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def decode(cursor: str) -> list[str]:
    """Return a cursor's parts. Raises UnknownCursor for one that we did not write."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UnknownCursor
    return parts


def newest_first[Row: Model](
    rows: QuerySet[Row], asked: Mapping[str, Any], *, field: str = "created_at"
) -> Page[Row]:
    """Return the page that `cursor` and `limit` ask for, newest first by (`field`, id)."""
    return _page(rows, asked, field=field, down=True)


def soonest_first[Row: Model](
    rows: QuerySet[Row], asked: Mapping[str, Any], *, field: str
) -> Page[Row]:
    """Return the page that `cursor` and `limit` ask for, the soonest first by (`field`, id)."""
    return _page(rows, asked, field=field, down=False)


def _page[Row: Model](
    rows: QuerySet[Row], asked: Mapping[str, Any], *, field: str, down: bool
) -> Page[Row]:
    size = asked["limit"]
    beyond, sign = ("lt", "-") if down else ("gt", "")
    if asked["cursor"]:
        at, key = _place(asked["cursor"], rows.model)
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
        written, key = parts
        at, place = clock.aware(written), model._meta.pk.to_python(key)  # noqa: SLF001 -- documented
    except (ValueError, ValidationError):
        raise UnknownCursor from None
    if at is None:
        raise UnknownCursor
    return at, place

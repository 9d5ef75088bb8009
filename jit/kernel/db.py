"""What the domain asks of PostgreSQL beyond rows: its clock, and named locks."""

from __future__ import annotations

import datetime as dt
import hashlib

from django.db import connection
from django.db.models import Model, QuerySet

PART = 5_000
"""Rows that one statement deletes or changes at most: what it locks and writes stays small."""


def now() -> dt.datetime:
    """Return the database's clock: deadlines are judged by it, never by a node's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: dt.datetime = cursor.fetchone()[0]
        return at


def delete_in_parts[Row: Model](rows: QuerySet[Row], *, part: int = PART) -> int:
    """Delete rows, however many, so many in each statement; return how many were. Called outside
    any transaction, each part is one of its own, and what is done stays done.
    """
    deleted = 0
    while some := list(rows.order_by().values_list("pk", flat=True)[:part]):
        rows.filter(pk__in=some).delete()
        deleted += len(some)
    return deleted


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def lock_until_commit(name: str) -> None:
    """Wait for the named lock and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_key(name)])


def try_lock_until_commit(name: str) -> bool:
    """Take the named lock until the transaction ends, or return False at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_key(name)])
        return bool(cursor.fetchone()[0])

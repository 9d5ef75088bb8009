"""The only place that reads the clock; everybody else is handed `now`."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the application's clock, in UTC."""
    return dt.datetime.now(dt.UTC)


def aware(text: str) -> dt.datetime | None:
    """Return the moment that an ISO 8601 text names, in UTC; None for a text that names none: one
    that can't be read, that lacks its zone, or that lies outside the years 1 to 9999 in UTC.
    """
    try:
        at = dt.datetime.fromisoformat(text)
        return at.astimezone(dt.UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def utc_words(at: dt.datetime) -> str:
    """Return `at` for a sentence: `2026-12-31 23:59:07 UTC`; the day is always said.

    Raises ValueError for a naive datetime: a time without a zone is a bug.
    """
    return f"{_in_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def rfc3339(at: dt.datetime) -> str:
    """Return `at` as RFC 3339 in UTC with microseconds and a `Z`.

    Raises ValueError for a naive datetime: a time without a zone is a bug.
    """
    return _in_utc(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _in_utc(at: dt.datetime) -> dt.datetime:
    if at.tzinfo is None:
        raise ValueError("a time must carry its zone")
    return at.astimezone(dt.UTC)

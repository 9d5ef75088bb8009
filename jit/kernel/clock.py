"""The only place that reads the clock; everybody else is handed `now`."""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """Return the application's clock, in UTC."""
    return dt.datetime.now(dt.UTC)


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

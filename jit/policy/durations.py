"""Lengths of time as policies write them (`1h30m`), and as whole seconds."""

from __future__ import annotations

import datetime as dt
import re

_PATTERN = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?")
_SECONDS = (86400, 3600, 60, 1)


def parse(text: str) -> int:
    """Return the whole seconds of a duration such as `30m`, `1h30m`, `2d` or `45s`.

    Raises ValueError with a sentence for the author of anything else.
    """
    match = _PATTERN.fullmatch(text.strip())
    if not text.strip() or match is None:
        raise ValueError(f"{text!r} is not a duration; write it as 45s, 30m, 1h30m or 2d")
    return sum(int(n) * unit for n, unit in zip(match.groups(), _SECONDS, strict=True) if n)


def seconds(value: object) -> int:
    """Return the whole seconds of an int, a timedelta or a text as `parse` reads it.

    Raises ValueError for anything else, for a negative one and for a fraction of a second.
    """
    if isinstance(value, dt.timedelta):
        if value.microseconds:
            raise ValueError("a duration is whole seconds")
        value = int(value.total_seconds())
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is not a duration")  # noqa: TRY004 -- one kind of refusal
    if value < 0:
        raise ValueError("a duration is not negative")
    return value


def text(value: int) -> str:
    """Return seconds as people read them: `1h 30m`, `45s`."""
    parts = []
    for unit, name in zip(_SECONDS, "dhms", strict=True):
        count, value = divmod(value, unit)
        if count:
            parts.append(f"{count}{name}")
    return " ".join(parts) or "0s"

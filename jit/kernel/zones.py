"""The time zones that people may choose."""

from __future__ import annotations

import functools
import zoneinfo


@functools.cache
def names() -> frozenset[str]:
    """Return the names of the IANA database on this machine; reading them takes a while."""
    return frozenset(zoneinfo.available_timezones())

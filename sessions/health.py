"""The wing's part of `/readyz`."""

from __future__ import annotations

from django.conf import settings

from jit.kernel import db
from sessions import queries

MOST_UNSEALED_SECONDS = 300.0
"""A recording is in the store and its session sealed within seconds of its end, a very big one's
within minutes.
"""


def gateways() -> tuple[bool, str]:
    """Return whether each gateway that people are sent to runs; raises database errors."""
    away = sorted(set(settings.GATEWAYS) - queries.running_gateways())
    if not away:
        return True, "all run" if settings.GATEWAYS else "none is set up"
    return False, f"none runs: {', '.join(away)}"


def sealing() -> tuple[bool, str]:
    """Return whether closed sessions are sealed in time, and how it is; raises database errors."""
    waiting, oldest = queries.unsealed()
    if oldest is None:
        return True, "every closed session is sealed"
    seconds = (db.now() - oldest).total_seconds()
    told = f"{waiting} closed sessions are not sealed, the oldest for {seconds:.0f} s"
    return seconds <= MOST_UNSEALED_SECONDS, told

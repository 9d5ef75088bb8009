"""Remember for a moment that a system let us wait, so that not every request waits in turn.

It is remembered in this process only, and means what a failure means anyway: nobody is on call.
"""

from __future__ import annotations

import time

SECONDS = 10.0
SLOW = "did not answer in time"
_until: dict[str, float] = {}


def lasts(address: str) -> bool:
    """Return whether the system at `address` let us wait within the last SECONDS."""
    return _until.get(address, 0.0) > time.monotonic()


def note(address: str) -> None:
    _until[address] = time.monotonic() + SECONDS


def forget() -> None:
    """Ask every system again."""
    _until.clear()

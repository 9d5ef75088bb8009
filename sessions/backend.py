"""What the core may ask of this wing. No gateway exists yet, so nothing can be live here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from jit.elevation.models import Grant


class Sessions:
    """The empty-handed backend: without gateways there are no access sessions to cut. The
    connectors cut the target's own connections.
    """

    def cut(self, *, grants: Sequence[Grant], reason: str, now: dt.datetime) -> int:  # noqa: ARG002 -- the port's signature
        return 0

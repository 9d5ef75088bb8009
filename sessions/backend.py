"""What the core may ask of this wing (`jit.workflow.ports.SessionsPort`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from jit.elevation.models import Grant
from sessions import offers
from sessions.operations import cutting


class Sessions:
    def cut(self, *, grants: Sequence[Grant], now: dt.datetime) -> set[UUID]:
        return cutting.cut(grants=grants, now=now)

    def offer(self, *, grant: Grant, now: dt.datetime) -> dict[str, str] | None:
        return offers.offer(grant=grant, now=now)

    def recordings(self, *, grant_id: UUID) -> list[str]:  # noqa: ARG002 -- the port's signature
        return []  # No page shows a recording yet, so there is no address to give.

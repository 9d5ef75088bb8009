"""What the core may ask of this wing (`jit.workflow.ports.SessionsPort`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from jit.elevation.models import Grant
from sessions import offers, queries
from sessions.operations import cutting


class Sessions:
    def cut(self, *, grants: Sequence[Grant], now: dt.datetime) -> set[UUID]:
        return cutting.cut(grants=grants, now=now)

    def cut_of(self, *, grants: Sequence[Grant]) -> dict[UUID, dict[str, int]]:
        return queries.cut_of(grant.pk for grant in grants)

    def offer(self, *, grant: Grant, now: dt.datetime) -> dict[str, str] | None:
        return offers.offer(grant=grant, now=now)

    def recordings(self, *, grant_id: UUID) -> list[str]:
        recorded = queries.recorded_sessions_of(grant_id)
        return [
            settings.BASE_URL + reverse("sessions:session", args=[session_id])
            for session_id in recorded
        ]

    def gateways_away(self) -> set[str]:
        return set(settings.GATEWAYS) - queries.running_gateways()

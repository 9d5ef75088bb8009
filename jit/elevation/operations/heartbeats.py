"""Writes down that the clock's work is being done."""

from __future__ import annotations

import datetime as dt

from jit.elevation.models import Heartbeat

SWEEP = "sweep"


def note_heartbeat(*, work: str, now: dt.datetime) -> None:
    """Note that `work` was done whole just now; two that do it at once don't wait for each other
    longer than a statement takes.
    """
    Heartbeat.objects.bulk_create(
        [Heartbeat(work=work, at=now)],
        update_conflicts=True,
        unique_fields=["work"],
        update_fields=["at"],
    )

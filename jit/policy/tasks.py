"""What policy does by the clock: looks whether the files on disk are the ones in force."""

from __future__ import annotations

from celery import shared_task

from jit.kernel import clock
from jit.kernel.actor import CLOCK
from jit.policy import operations


@shared_task(name="jit.policy.watch_drift")
def watch_drift() -> str:
    """Return how the files differ, or nothing."""
    return str(operations.watch_drift(actor=CLOCK, now=clock.now()) or "")

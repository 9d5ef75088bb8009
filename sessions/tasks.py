"""The clock's work on access sessions, by name."""

from __future__ import annotations

from celery import shared_task

from sessions.operations import processes


@shared_task(name="sessions.bury_the_silent")
def bury_the_silent() -> None:
    processes.bury_the_silent()

"""Housekeeping by the clock."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command


@shared_task(name="jit.ops.clear_sessions")
def clear_sessions() -> None:
    """Delete browser sessions whose time is over; nothing else ever would."""
    call_command("clearsessions")

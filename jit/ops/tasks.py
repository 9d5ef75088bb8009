"""Housekeeping by the clock."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.models import Session

from jit.kernel import db


@shared_task(name="jit.ops.clear_sessions")
def clear_sessions() -> None:
    """Delete browser sessions whose time is over; nothing else ever would."""
    db.delete_in_parts(Session.objects.filter(expire_date__lt=db.now()))

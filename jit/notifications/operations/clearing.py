"""Forget what was told long ago; what happened stands in the audit log, not here."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from jit.kernel import db
from jit.notifications.models import Notification, Outcome


def clear_old() -> int:
    """Delete settled messages older than `NOTIFICATIONS_KEPT_DAYS`; return how many."""
    before = db.now() - dt.timedelta(days=settings.NOTIFICATIONS_KEPT_DAYS)
    settled = Notification.objects.exclude(outcome=Outcome.WAITING)
    return db.delete_in_parts(settled.filter(created_at__lt=before))

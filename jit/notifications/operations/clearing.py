"""Forget what was told long ago; what happened stands in the audit log, not here."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from jit.kernel import db
from jit.notifications.models import Notification, Outcome

AT_ONCE = 5000


def clear_old() -> int:
    """Delete settled messages older than `NOTIFICATIONS_KEPT_DAYS`; return how many."""
    before = db.now() - dt.timedelta(days=settings.NOTIFICATIONS_KEPT_DAYS)
    settled = Notification.objects.exclude(outcome=Outcome.WAITING)
    deleted = 0
    while True:
        old = settled.filter(created_at__lt=before).order_by().values_list("pk", flat=True)
        count, _ = Notification.objects.filter(pk__in=list(old[:AT_ONCE])).delete()
        deleted += count
        if count < AT_ONCE:
            return deleted

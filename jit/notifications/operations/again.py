"""Try again what was given up, once its cause is mended."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from jit.kernel import tasks
from jit.notifications.models import Notification, Outcome


def try_again(*, lane: str, now: dt.datetime) -> int:
    """Put what FAILED in the lane (all lanes, for an empty name), and is still worth telling,
    back to be delivered; and what waits out a backoff, at once. Return how many.
    """
    rows = Notification.objects.filter(expires_at__gt=now)
    rows = rows.filter(lane=lane) if lane else rows
    failed = rows.filter(outcome=Outcome.FAILED)
    resting = rows.filter(
        outcome=Outcome.WAITING, next_try_at__gt=now, lease_until__isnull=True, tries__gt=0
    )
    with transaction.atomic():
        count = failed.filter(pk__in=_with_a_receiver(failed)).update(
            outcome=Outcome.WAITING, settled_at=None, next_try_at=now, lease_until=None
        )
        count += resting.update(next_try_at=now)
        tasks.enqueue_on_commit("jit.notifications.deliver")
    return count


def _with_a_receiver(rows: QuerySet[Notification]) -> list[UUID]:
    """Return which of these somebody still gets. Looked for apart from the update, whose guard
    stands on its own rows.
    """
    gone = Q(endpoint__enabled=False) | Q(recipient__is_active=False)
    return list(rows.exclude(gone).values_list("pk", flat=True))

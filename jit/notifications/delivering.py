"""Deliver what waits: lane by lane, by lease, never within a transaction, until it is settled.

A lane is what fails together: one channel, or one endpoint. One worker at a time works on a
lane, so an SMTP server or an endpoint that hangs holds one worker for one timeout and then
waits out its backoff; everything else goes on. A worker that is killed leaves its lease: the
rows are taken up again when it is over, so a message may come twice, with the same id.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
from collections.abc import Sequence
from time import monotonic
from typing import cast
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Coalesce, NullIf

from jit.audit.operations import Subject
from jit.kernel import db
from jit.kernel.actor import CLOCK
from jit.notifications.channels import base
from jit.notifications.channels.base import DeliveryFailed, Note
from jit.notifications.kinds import TICKET, WEBHOOK, Kind
from jit.notifications.models import Notification, Outcome, WebhookEndpoint
from jit.notifications.operations import endpoints

log = logging.getLogger(__name__)

BATCH = 25
LARGE_BATCH = 1000
"""For channels that deliver many at once."""
LEASE = dt.timedelta(seconds=90)
"""Longer than a run may last: BUDGET and one last message's timeout."""
BUDGET = 20.0
"""Seconds that one run may take before it lets another have the worker."""
SLOWEST_RETRY = 600.0
PACE = dt.timedelta(seconds=1)
"""How long a message waits whose turn it was not."""
IN_ORDER = dt.timedelta(minutes=5)
"""A person hears of one thing in the order in which it happened; a message that could not be
delivered for this long no longer holds back the later ones.
"""


def backoff(tries: int) -> dt.timedelta:
    """Return how long to wait after the `tries`-th failure: doubling from two seconds up to
    ten minutes, with up to half of it drawn at random.
    """
    longest = min(2.0 * 2 ** min(tries, 10), SLOWEST_RETRY)
    return dt.timedelta(seconds=longest * (0.5 + random.random() / 2))  # noqa: S311 -- jitter


def due_lanes() -> list[str]:
    """Return the lanes in which something is due and nobody is at work."""
    now = db.now()
    waiting = Notification.objects.filter(outcome=Outcome.WAITING)
    busy = waiting.filter(lease_until__gt=now).order_by().values("lane")
    rows = waiting.filter(next_try_at__lte=now, expires_at__gt=now).exclude(lane__in=busy)
    return sorted(rows.order_by().values_list("lane", flat=True).distinct())


def tidy() -> int:
    """Drop what is no longer worth telling and give up endpoints that never answer; return
    how many messages were dropped.
    """
    now = db.now()
    late = Notification.objects.filter(outcome=Outcome.WAITING, expires_at__lte=now).filter(
        Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    )
    dropped = 0
    while some := list(late.order_by().values_list("pk", flat=True)[: db.PART]):
        dropped += late.filter(pk__in=some).update(
            outcome=Outcome.EXPIRED,
            settled_at=now,
            lease_until=None,
            reason=Coalesce(
                # What went wrong is the better reason, where something did.
                NullIf(F("reason"), Value("")),
                Value("not delivered while it was worth telling"),
            ),
        )
    patience = dt.timedelta(seconds=settings.WEBHOOK_GIVE_UP_AFTER)
    for endpoint in WebhookEndpoint.objects.filter(enabled=True, failing_since__lte=now - patience):
        why = f"no delivery has succeeded since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC"
        endpoints.disable_endpoint(endpoint=endpoint, why=why, actor=CLOCK, now=now)
    return dropped


def deliver_lane(lane: str) -> int:
    """Deliver what is due in the lane, for up to BUDGET seconds; return how many arrived."""
    arrived = 0
    stop_at = monotonic() + BUDGET
    while monotonic() < stop_at:
        batch = _claim(lane)
        if not batch:
            break
        if _at_once(lane):
            failure = _send_all(batch)
            if failure is not None:
                return arrived
            arrived += len(batch)
            continue
        untold: set[tuple[str, ...]] = set()
        for place, row in enumerate(batch):
            if monotonic() >= stop_at:
                _release(batch[place:])
                break
            about = (str(row.recipient_id), row.subject_type, row.subject_id)
            if about in untold and row.endpoint_id is None:
                _release([row])
                continue
            failure = _send(row)
            arrived += failure is None
            _settle(row, failure)
            if failure is not None and not failure.permanent:
                untold.add(about)
            if failure is not None and (failure.lane_down or failure.gone):
                return arrived
    return arrived


def _claim(lane: str) -> Sequence[Notification]:
    """Commit a lease on some due rows of the lane, unless somebody is at work there or, among
    endpoints, enough of them keep workers busy already.
    """
    with transaction.atomic(durable=True):
        db.lock_until_commit("jit.notifications.lanes")
        now = db.now()
        waiting = Notification.objects.filter(outcome=Outcome.WAITING)
        busy = set(
            waiting.filter(lease_until__gt=now).order_by().values_list("lane", flat=True).distinct()
        )
        others = [name for name in busy if name.startswith(f"{WEBHOOK}:")]
        crowded = lane.startswith(f"{WEBHOOK}:") and len(others) >= settings.WEBHOOK_WORKERS
        if lane in busy or crowded:
            return []
        rows = list(
            waiting.select_related("recipient", "endpoint")
            .filter(lane=lane, next_try_at__lte=now, expires_at__gt=now)
            .filter(Q(lease_until__isnull=True) | Q(lease_until__lte=now))
            .exclude(Exists(_untold_before(now)))
            .order_by("created_at", "id")
            .select_for_update(of=("self",), skip_locked=True)[
                : LARGE_BATCH if _at_once(lane) else BATCH
            ]
        )
        Notification.objects.filter(pk__in=[row.pk for row in rows]).update(
            lease_until=now + LEASE, tries=F("tries") + 1
        )
        return rows


def _untold_before(now: dt.datetime) -> QuerySet[Notification]:
    """Return what this person (or ticket) has yet to be told before it, of the same thing by
    the same way, and can't be told in this very run.
    """
    return Notification.objects.filter(
        outcome=Outcome.WAITING,
        lane=OuterRef("lane"),
        subject_type=OuterRef("subject_type"),
        subject_id=OuterRef("subject_id"),
        created_at__lt=OuterRef("created_at"),
        created_at__gt=now - IN_ORDER,
        next_try_at__gt=now,
        expires_at__gt=now,
    ).filter(Q(recipient=OuterRef("recipient")) | Q(channel=TICKET))


def _release(rows: Sequence[Notification]) -> None:
    Notification.objects.filter(pk__in=[row.pk for row in rows], outcome=Outcome.WAITING).update(
        lease_until=None, tries=F("tries") - 1
    )


def _send(row: Notification) -> DeliveryFailed | None:
    """Hand one message to its channel; return how it failed, or None."""
    if row.recipient is not None and not row.recipient.is_active:
        return DeliveryFailed("the account is disabled", permanent=True)
    if row.endpoint is not None and not row.endpoint.enabled:
        return DeliveryFailed("the endpoint is disabled", permanent=True)
    try:
        row.receipt = (base.channel(row.channel).deliver(_note(row)) or "")[:200]
    except DeliveryFailed as failure:
        return failure
    except KeyError:
        return DeliveryFailed(f"the channel {row.channel} is not set up", permanent=True)
    except Exception as bug:
        log.exception("delivery of %s failed in a way its channel does not know", row.pk)
        return DeliveryFailed(f"unexpected: {type(bug).__name__}")
    return None


def _at_once(lane: str) -> bool:
    return lane in settings.NOTIFICATION_CHANNELS and isinstance(
        base.channel(lane), base.BatchChannel
    )


def _send_all(batch: Sequence[Notification]) -> DeliveryFailed | None:
    """Hand a whole batch to its channel and settle it; return how it failed, or None."""
    channel = cast("base.BatchChannel", base.channel(batch[0].lane))
    try:
        channel.deliver_all([_note(row) for row in batch])
    except DeliveryFailed as failure:
        _release(batch[1:])
        _settle(batch[0], failure)
        return failure
    rows = Notification.objects.filter(pk__in=[row.pk for row in batch], outcome=Outcome.WAITING)
    rows.update(outcome=Outcome.DELIVERED, settled_at=db.now(), lease_until=None, reason="")
    return None


def _note(row: Notification) -> Note:
    return Note(
        id=UUID(str(row.pk)),
        kind=Kind(row.kind),
        key=row.key,
        recipient=row.recipient,
        endpoint=row.endpoint,
        subject=Subject(type=row.subject_type, id=row.subject_id, label=row.subject_label),
        payload=row.payload,
        created_at=row.created_at,
        expires_at=row.expires_at,
        attempt=row.tries + 1,
    )


def _settle(row: Notification, failure: DeliveryFailed | None) -> None:
    """Write down how it went. A row that was settled meanwhile stays as it is."""
    now = db.now()
    waiting = Notification.objects.filter(pk=row.pk, outcome=Outcome.WAITING)
    if failure is None:
        waiting.update(
            outcome=Outcome.DELIVERED,
            settled_at=now,
            lease_until=None,
            reason="",
            receipt=row.receipt,
        )
        if row.endpoint is not None and row.endpoint.failing_since is not None:
            WebhookEndpoint.objects.filter(pk=row.endpoint.pk).update(failing_since=None)
        return
    if failure.paced:
        waiting.update(next_try_at=now + PACE, lease_until=None, tries=F("tries") - 1)
        return
    reason = str(failure)[:500]
    log.warning("%s to %s not delivered: %s", row.kind, row.lane, reason)
    if failure.permanent:
        waiting.update(outcome=Outcome.FAILED, settled_at=now, lease_until=None, reason=reason)
    else:
        wait = backoff(row.tries)
        if failure.retry_after is not None:
            wait = max(wait, dt.timedelta(seconds=failure.retry_after))
        waiting.update(next_try_at=now + wait, lease_until=None, reason=reason)
        if failure.lane_down:
            _rest(row.lane, until=now + wait)
    if row.endpoint is not None:
        _endpoint_failed(row.endpoint, failure, now=now)


def _rest(lane: str, *, until: dt.datetime) -> None:
    """Let the whole lane wait, with the rows that this run has claimed and not tried."""
    waiting = Notification.objects.filter(lane=lane, outcome=Outcome.WAITING)
    waiting.filter(lease_until__isnull=False).update(lease_until=None, tries=F("tries") - 1)
    waiting.filter(next_try_at__lt=until).update(next_try_at=until)


def _endpoint_failed(
    endpoint: WebhookEndpoint, failure: DeliveryFailed, *, now: dt.datetime
) -> None:
    if failure.gone:
        endpoints.disable_endpoint(endpoint=endpoint, why=str(failure), actor=CLOCK, now=now)
        return
    WebhookEndpoint.objects.filter(pk=endpoint.pk, failing_since__isnull=True).update(
        failing_since=now
    )

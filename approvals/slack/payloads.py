"""What came in: a second delivery gets the first answer, and a queued act happens once."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q

from approvals.slack.models import SlackPayload
from jit.kernel import db, tasks

LEASE = dt.timedelta(seconds=30)
KEPT = dt.timedelta(days=1)
"""Far longer than the window in which a signature is good, so that no replay is ever new."""
MOST_TRIES = 20
BATCH = 200


_REMEMBER = """
INSERT INTO approvals_slackpayload
    (id, digest, kind, body, received_at, queued, outcome, tries)
VALUES (%s, %s, %s, %s, %s, %s, '', 0)
ON CONFLICT (digest) DO NOTHING RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Received:
    """A remembered payload; `first` is False for a second delivery."""

    row: SlackPayload
    first: bool


def remember(
    *, digest: str, kind: str, body: dict[str, Any], queued: bool, now: dt.datetime
) -> Received:
    """Write the payload down, unless it was. A queued one is worked off by the task that `hint`
    sends, or by the sweep.
    """
    row = SlackPayload(digest=digest, kind=kind, body=body, queued=queued, received_at=now)
    # One statement, since Slack waits: the row is either new or it was there.
    with connection.cursor() as cursor:
        cursor.execute(_REMEMBER, [row.pk, digest, kind, json.dumps(body), now, queued])
        first = cursor.fetchone() is not None
    if not first:
        return Received(row=SlackPayload.objects.get(digest=digest), first=False)
    return Received(row=row, first=True)


def hint() -> None:
    """Have what is queued worked off now."""
    tasks.enqueue("approvals.slack.act_due")


def answered(row: SlackPayload, answer: dict[str, Any], outcome: str = "") -> None:
    """Keep the answer for a second delivery."""
    SlackPayload.objects.filter(pk=row.pk).update(
        answer=answer, outcome=outcome[:300], done_at=db.now()
    )


def due() -> list[UUID]:
    """Return queued payloads that nobody works on; a lost task or a killed worker left them."""
    rows = SlackPayload.objects.filter(_open()).order_by("received_at", "id")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def claim(payload_id: UUID) -> SlackPayload | None:
    """Take a queued payload for a while, or return None where it is taken or done."""
    with transaction.atomic():
        taken = SlackPayload.objects.filter(_open(), pk=payload_id).update(
            lease_until=db.now() + LEASE, tries=F("tries") + 1
        )
        return SlackPayload.objects.get(pk=payload_id) if taken else None


def done(row: SlackPayload, outcome: str) -> None:
    SlackPayload.objects.filter(pk=row.pk).update(
        done_at=db.now(), outcome=outcome[:300], lease_until=None
    )


def forget_old() -> int:
    """Delete what no replay can bring back; return how many."""
    return db.delete_in_parts(SlackPayload.objects.filter(received_at__lt=db.now() - KEPT))


def _open() -> Q:
    now = db.now()
    return Q(queued=True, done_at__isnull=True, tries__lt=MOST_TRIES) & (
        Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    )

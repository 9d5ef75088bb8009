"""Write the outbox: in the teller's transaction, in one statement however many are told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection
from django.db.transaction import TransactionManagementError

from jit.audit.operations import Subject
from jit.identity.models import User
from jit.kernel import tasks
from jit.kernel.clock import rfc3339
from jit.kernel.text import one_line
from jit.notifications import kinds
from jit.notifications.channels import base
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification, WebhookEndpoint

_WRITE = """
WITH news AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(news)s::jsonb) AS n(
        key text, kind text, subject_type text, subject_id text, subject_label text,
        payload jsonb, useful_until timestamptz, recipients uuid[], overtakes text[],
        settles text[], ticket_system text, only_ticket boolean)
), overtaken AS (
    UPDATE notifications_notification AS old
    SET outcome = 'EXPIRED', settled_at = %(now)s, reason = 'overtaken: ' || n.kind
    FROM news n
    WHERE old.outcome = 'WAITING' AND old.kind = ANY(n.overtakes)
      AND old.subject_type = n.subject_type AND old.subject_id = n.subject_id
      AND old.key <> n.key AND old.channel NOT IN ('in_app', 'webhook', 'ticket')
      AND (old.lease_until IS NULL OR old.lease_until <= %(now)s)
), settled AS (
    UPDATE notifications_notification AS old
    SET read_at = %(now)s
    FROM news n
    WHERE old.channel = 'in_app' AND old.read_at IS NULL
      AND old.kind = ANY(n.overtakes || n.settles)
      AND old.subject_type = n.subject_type AND old.subject_id = n.subject_id
      AND old.key <> n.key
), told AS (
    SELECT n.*, r.id AS recipient_id, NULL::uuid AS endpoint_id, c.name AS channel,
           c.name AS lane, n.useful_until AS expires_at
    FROM news n
    CROSS JOIN LATERAL unnest(n.recipients) AS r(id)
    CROSS JOIN unnest(%(channels)s::text[]) AS c(name)
    LEFT JOIN notifications_preference AS p
      ON p.user_id = r.id AND p.kind = n.kind AND p.channel = c.name
    WHERE c.name = 'in_app'
       OR coalesce(p.wanted, n.kind || ' ' || c.name = ANY(%(defaults)s::text[]))
    UNION ALL
    SELECT n.*, NULL::uuid, e.id, 'webhook', 'webhook:' || e.id, %(books_until)s
    FROM news n
    JOIN notifications_webhookendpoint AS e
      ON e.enabled AND (e.kinds = '[]'::jsonb OR e.kinds ? n.kind)
    WHERE %(webhooks)s AND NOT n.only_ticket
    UNION ALL
    SELECT n.*, NULL::uuid, NULL::uuid, 'ticket', 'ticket:' || n.ticket_system, %(books_until)s
    FROM news n
    WHERE %(tickets)s AND n.ticket_system <> ''
)
INSERT INTO notifications_notification (
    id, key, kind, channel, lane, recipient_id, endpoint_id, subject_type, subject_id,
    subject_label, payload, created_at, expires_at, outcome, reason, receipt, tries, next_try_at)
SELECT gen_random_uuid(), key, kind, channel, lane, recipient_id, endpoint_id, subject_type,
    subject_id, subject_label, payload, %(now)s, expires_at, 'WAITING', '', '', 0, %(now)s
FROM told
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something that people hear of. `key` names the event: it is told once, whoever tells it
    again. `useful_until` is when it is no longer worth telling (default: the kind's shelf
    life). It overtakes what still waits to be told of the same subject in `overtakes`, and what
    was told of it in `overtakes` and `settles` needs nobody's reading any more.
    `ticket_system` is where the ticket stands under which it is written too, empty for nowhere;
    `only_ticket` keeps it from everybody else.
    """

    kind: Kind
    recipients: Sequence[User]
    subject: Subject
    payload: Mapping[str, Any]
    key: str
    useful_until: dt.datetime | None = None
    overtakes: tuple[Kind, ...] = field(default=())
    settles: tuple[Kind, ...] = field(default=())
    ticket_system: str = ""
    only_ticket: bool = False


def notify(
    *,
    kind: Kind,
    recipients: Iterable[User],
    subject: Subject,
    payload: Mapping[str, Any],
    key: str,
    now: dt.datetime,
    useful_until: dt.datetime | None = None,
    overtakes: tuple[Kind, ...] = (),
    ticket_system: str = "",
    only_ticket: bool = False,
) -> int:
    """Write one row for each recipient and channel they want, and one for each endpoint that
    listens; return how many rows are new. Within a transaction; delivered once it commits.
    """
    return notify_all(
        news=[
            News(
                kind=kind,
                recipients=tuple(recipients),
                subject=subject,
                payload=payload,
                key=key,
                useful_until=useful_until,
                overtakes=overtakes,
                ticket_system=ticket_system,
                only_ticket=only_ticket,
            )
        ],
        now=now,
    )


def notify_all(*, news: Sequence[News], now: dt.datetime, at_once: bool = True) -> int:
    """Write the rows of all these news, in one statement; return how many rows are new. They
    are delivered once they are committed, or (not `at_once`) when `deliver_soon` is called.

    Raises TransactionManagementError outside a transaction: what is told and what happened
    must be committed together.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("notifications are written with what they tell of")
    worth_telling = [item for one in news if (item := _row(one, now)) is not None]
    if not worth_telling:
        return 0
    channels = base.personal()
    with connection.cursor() as cursor:
        cursor.execute(
            _WRITE,
            {
                "news": orjson.dumps(worth_telling).decode(),
                "now": now,
                "channels": channels,
                "defaults": kinds.defaults(channels),
                "webhooks": kinds.WEBHOOK in base.all_names(),
                "tickets": kinds.TICKET in base.all_names(),
                "books_until": now + kinds.BOOKS_SHELF_LIFE,
            },
        )
        written = int(cursor.rowcount)
    if written and at_once:
        tasks.enqueue_on_commit("jit.notifications.deliver")
    return written


def deliver_soon() -> None:
    """Have what is written and committed delivered; the clock would, some seconds later."""
    tasks.enqueue("jit.notifications.deliver")


def _row(news: News, now: dt.datetime) -> dict[str, Any] | None:
    until = news.useful_until or now + kinds.shelf_life(news.kind)
    if until <= now:
        return None
    people = {str(user.pk) for user in news.recipients if user.is_active}
    return {
        "key": news.key[:200],
        "kind": news.kind.value,
        "subject_type": news.subject.type,
        "subject_id": news.subject.id,
        "subject_label": one_line(news.subject.label),
        "payload": {name: _plain(value) for name, value in news.payload.items()},
        "useful_until": rfc3339(until),
        "recipients": sorted(people),
        "overtakes": [kind.value for kind in news.overtakes],
        "settles": [kind.value for kind in news.settles],
        "ticket_system": news.ticket_system,
        "only_ticket": news.only_ticket,
    }


def _plain(value: Any) -> Any:
    """Return a value that JSON and PostgreSQL can hold: no NUL, times as RFC 3339."""
    if type(value) is str:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dt.datetime):
        return rfc3339(value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")


def write_test(*, endpoint: WebhookEndpoint, subject: Subject, now: dt.datetime) -> Notification:
    """Write a message to one endpoint alone, whatever kinds it listens to."""
    row = Notification(
        kind=Kind.TEST.value,
        channel=kinds.WEBHOOK,
        lane=f"{kinds.WEBHOOK}:{endpoint.pk}",
        endpoint=endpoint,
        subject_type=subject.type,
        subject_id=subject.id,
        subject_label=subject.label,
        payload={"endpoint": endpoint.name},
        created_at=now,
        expires_at=now + kinds.DEFAULT_SHELF_LIFE,
        next_try_at=now,
    )
    row.key = f"test:{row.id}"
    row.save(force_insert=True)
    tasks.enqueue_on_commit("jit.notifications.deliver")
    return row

"""Events on their way into the table: at once, or gathered into one statement at a batch's end."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson
from django.db import connection, transaction

from jit.audit.events import Event

_ROWS_A_STATEMENT = 1000
_COLUMNS = {
    "id": "uuid",
    "at": "timestamptz",
    "actor_kind": "text",
    "actor_id": "text",
    "actor_name": "text",
    "channel": "text",
    "action": "text",
    "subject_type": "text",
    "subject_id": "text",
    "request_id": "uuid",
    "grant_id": "uuid",
    "target": "text",
    "role": "text",
    "person": "text",
}
# One JSON text instead of sixteen parameters a row: both sides read it several times as fast.
_INSERT = (
    f"INSERT INTO audit_event ({', '.join(_COLUMNS)}, body, words) "  # noqa: S608 -- fixed names
    f"SELECT {', '.join(_COLUMNS)}, convert_to(body, 'UTF8'), to_tsvector('simple', words) "
    "FROM json_to_recordset(%s::json) AS event("
    + "".join(f"{name} {kind}, " for name, kind in _COLUMNS.items())
    + "body text, words text)"
)


class _Marker:
    """Registered with `on_commit` beside each gathered event: Django forgets it exactly when
    the savepoint around it rolls back, and so do we. Being called means nothing.
    """

    def __call__(self) -> None:
        pass


@dataclass
class _Batch:
    gathered: list[tuple[_Marker, Event]] = field(default_factory=list)

    def add(self, event: Event) -> None:
        marker = _Marker()
        transaction.on_commit(marker)
        self.gathered.append((marker, event))

    def take(self) -> list[Event]:
        """Return the gathered events whose savepoints have not been rolled back."""
        standing = {id(entry[1]) for entry in connection.run_on_commit}
        events = [event for marker, event in self.gathered if id(marker) in standing]
        markers = {id(marker) for marker, _ in self.gathered}
        connection.run_on_commit = [
            entry for entry in connection.run_on_commit if id(entry[1]) not in markers
        ]
        self.gathered.clear()
        return events


class _Open(threading.local):
    batch: _Batch | None = None


_open = _Open()  # One a thread, as Django's connections are.


@contextmanager
def batch() -> Iterator[None]:
    """Gather the events of this block and write them as one statement at its end.

    Opens a transaction or joins the one there is. An exception leaving the block marks the
    whole transaction for rollback, so that no change stays whose event was dropped; an inner
    savepoint that rolls back takes its own events with it. Batches nest: the outermost writes;
    until then the log does not show them.
    """
    with transaction.atomic(savepoint=False):
        if _open.batch is not None:
            yield
            return
        gathering = _open.batch = _Batch()
        try:
            yield
            _insert(gathering.take())
        finally:
            _open.batch = None


def append(events: Sequence[Event]) -> None:
    """Write the events, in this order, or add them to the open batch.

    Raises TransactionManagementError outside a transaction: an event without the change it
    tells of, or the change without the event, must not be possible.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "an audit event is written in the transaction of the change it tells of"
        )
    if _open.batch is not None:
        for event in events:
            _open.batch.add(event)
        return
    _insert(events)


def _insert(events: Sequence[Event]) -> None:
    with connection.cursor() as cursor:
        for start in range(0, len(events), _ROWS_A_STATEMENT):
            rows = [
                {**event.columns, "body": event.body.decode(), "words": event.words}
                for event in events[start : start + _ROWS_A_STATEMENT]
            ]
            cursor.execute(_INSERT, [orjson.dumps(rows).decode()])
        kept = [(event.id, held) for event in events for held in event.erasable]
        if kept:
            cursor.executemany(
                "INSERT INTO audit_erasable (id, event_id, person, field, salt, value) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                [
                    (held.id, event_id, held.person, held.field, held.salt, held.value)
                    for event_id, held in kept
                ],
            )

"""The one door through which state moves, and through which the log is written."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection, models, transaction

from jit.audit import append, bulk_transition, events
from jit.audit.actions import ACTIONS
from jit.audit.append import batch
from jit.audit.events import Erasable, Links, Subject
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict
from jit.kernel.states import Machine

__all__ = [
    "Erasable",
    "Links",
    "MovedMeanwhile",
    "Subject",
    "UnknownAction",
    "batch",
    "created",
    "erase",
    "record",
    "subject_of",
    "transition",
    "transition_many",
]

type Content = Mapping[str, Any]
_NOTHING: Content = {}


class UnknownAction(Exception):
    """The action is not in `jit.audit.actions`; always a bug of the caller."""


class MovedMeanwhile(Conflict):
    """The row left the state it was read in before this move reached it."""


def record(
    *,
    action: str,
    actor: Actor,
    now: dt.datetime,
    subject: Subject,
    body: Content = _NOTHING,
    request_id: uuid.UUID | None = None,
    grant_id: uuid.UUID | None = None,
    links: Links | None = None,
) -> None:
    """Append one event about `subject` in the current transaction.

    `links` says by what else it is found; `request_id` and `grant_id` are short for two of
    them. Raises UnknownAction, and TransactionManagementError outside a transaction.
    """
    found_by = links or Links(request_id=request_id, grant_id=grant_id)
    append.append([_event(action, actor, now, subject, found_by, body)])


def created(
    *,
    row: models.Model,
    machine: Machine,
    actor: Actor,
    now: dt.datetime,
    body: Content = _NOTHING,
) -> None:
    """Append `<machine>.created` for a row just inserted in one of its initial states."""
    state = _state(row)
    if state not in {initial.value for initial in machine.initial}:
        raise ValueError(f"{machine.name}: {state} is not an initial state")
    told = {"to": state, **body}
    append.append(
        [
            _event(
                machine.action("created"),
                actor,
                now,
                subject_of(row, machine),
                links_of(row, machine),
                told,
            )
        ]
    )


def transition(
    *,
    row: models.Model,
    machine: Machine,
    verb: str,
    actor: Actor,
    now: dt.datetime,
    changes: Content = _NOTHING,
    body: Content = _NOTHING,
) -> None:
    """Move `row` by `verb`, write `changes` with it, and append the event: two statements.

    The instance is given its new state and changes once the row has moved. Raises
    IllegalMove when the machine has no such move from the row's state, and MovedMeanwhile
    when the stored row is no longer in it.
    """
    source = _state(row)
    target = machine.target(source, verb).value
    _must_be_in_transaction()
    stored = type(row)._base_manager.filter(pk=row.pk, state=source)  # noqa: SLF001 -- Django's documented name
    if stored.update(state=target, **changes) != 1:
        raise _moved_meanwhile(row, machine, source)
    told = {"from": source, "to": target, **body}
    _set(row, target, changes)
    append.append(
        [
            _event(
                machine.action(verb),
                actor,
                now,
                subject_of(row, machine),
                links_of(row, machine),
                told,
            )
        ]
    )


def transition_many[Row: models.Model](
    *,
    rows: Sequence[Row],
    machine: Machine,
    verb: str,
    actor: Actor,
    now: dt.datetime,
    changes: Mapping[Any, Content] = _NOTHING,
    bodies: Mapping[Any, Content] = _NOTHING,
) -> list[Row]:
    """Move all of `rows` by `verb` in one guarded UPDATE and append their events in one INSERT.

    `changes` and `bodies` are keyed by the rows' primary keys; every row must change the same
    fields, with plain values. Return the rows that moved, in their order: one that somebody
    else moved meanwhile is left out (not an error), and has no event. Raises IllegalMove as
    `transition` does, before anything is written.
    """
    if not rows:
        return []
    _must_be_in_transaction()
    targets = {source: machine.target(source, verb).value for source in set(map(_state, rows))}
    moves = [
        bulk_transition.Move(
            pk=row.pk,
            source=(source := _state(row)),
            target=targets[source],
            changes=changes.get(row.pk, _NOTHING),
        )
        for row in rows
    ]
    done = bulk_transition.guarded_update(type(rows[0]), moves)
    moved: list[Row] = []
    told: list[events.Event] = []
    for row, move in zip(rows, moves, strict=True):
        if move.pk not in done:
            continue
        _set(row, move.target, move.changes)
        moved.append(row)
        told.append(
            _event(
                machine.action(verb),
                actor,
                now,
                subject_of(row, machine),
                links_of(row, machine),
                {"from": move.source, "to": move.target, **bodies.get(row.pk, _NOTHING)},
            )
        )
    append.append(told)
    return moved


def erase(*, person: str, actor: Actor, now: dt.datetime) -> int:
    """Forget every erasable value kept for `person` (the user's id) and say so in the log.

    Return how many were forgotten. The digests in the sealed events stay, and so do all
    proofs; without the salt a digest can't be searched for its value.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE audit_erasable SET salt = NULL, value = NULL, erased_at = %s "
            "WHERE person = %s AND erased_at IS NULL",
            [now, person],
        )
        count: int = cursor.rowcount
        if count:
            record(
                action="audit.erased",
                actor=actor,
                now=now,
                subject=Subject(type="person", id=person, label=person),
                body={"values": count},
            )
    return count


def subject_of(row: models.Model, machine: Machine) -> Subject:
    """Return the row as an event's subject."""
    return Subject(type=machine.name, id=str(row.pk), label=str(row))


def links_of(row: models.Model, machine: Machine) -> Links:
    """Return by what the row's events are found: its own `audit_links()`, or its own id."""
    own = getattr(row, "audit_links", None)
    if own is not None:
        return Links(**own())
    if machine.name == "request":
        return Links(request_id=row.pk)
    if machine.name == "grant":
        return Links(request_id=getattr(row, "request_id", None), grant_id=row.pk)
    return Links()


def _event(
    action: str, actor: Actor, now: dt.datetime, subject: Subject, links: Links, body: Content
) -> events.Event:
    if action not in ACTIONS:
        raise UnknownAction(f"{action} is not listed in jit.audit.actions")
    return events.build(
        action=action, actor=actor, now=now, subject=subject, links=links, body=body
    )


def _state(row: models.Model) -> str:
    return str(getattr(row, "state"))  # noqa: B009 -- every row with a machine has one; mypy can't know


def _set(row: models.Model, state: str, changes: Content) -> None:
    for name, value in {"state": state, **changes}.items():
        setattr(row, name, value)


def _must_be_in_transaction() -> None:
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "a state moves in one transaction with its audit event"
        )


def _moved_meanwhile(row: models.Model, machine: Machine, source: str) -> MovedMeanwhile:
    stored = type(row)._base_manager.filter(pk=row.pk)  # noqa: SLF001 -- Django's documented name
    state = stored.values_list("state", flat=True).first()
    said = f"is {state} now" if state else "is gone"
    return MovedMeanwhile(
        f"The {machine.name} {said}, no longer {source}: somebody or something was faster. "
        "Load it again and decide afresh.",
        extra={"subject": machine.name, "expected": source, "state": state},
    )

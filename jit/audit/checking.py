"""Is what lies in the tables what was sealed? One event, or all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection

from jit.audit import events, index_terms, proofs, verifier
from jit.audit.models import AuditCheckpoint, AuditErasable, AuditEvent
from jit.kernel.errors import NotFound

_COLUMNS = (
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "channel",
    "action",
    "subject_type",
    "subject_id",
    "request_id",
    "grant_id",
    "target",
    "role",
    "person",
)
_CHUNK = 5_000


class Outcome(StrEnum):
    VALID = "valid"
    NOT_VALID = "not valid"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Verification:
    """What checking found. `index` is the event's place in the log (of the first bad one, when
    everything was checked), `size` the tree's; `path` the inclusion proof in hex.
    """

    outcome: Outcome
    detail: str
    index: int | None = None
    size: int | None = None
    root: str = ""
    path: tuple[str, ...] = ()
    note: str = ""

    @property
    def valid(self) -> bool:
        return self.outcome is Outcome.VALID


def verify_event(*, seq: int) -> Verification:
    """Compute the leaf from the stored body and follow its proof to the newest checkpoint.

    Raises NotFound when there is no such event.
    """
    event = AuditEvent.objects.filter(seq=seq).first()
    if event is None:
        raise NotFound("There is no such audit event.")
    checkpoint = proofs.latest_checkpoint()
    if checkpoint is None:
        return Verification(Outcome.WAITING, "Nothing is sealed yet. Try again in a few seconds.")
    try:
        proof = proofs.prove(seq=seq, checkpoint=checkpoint)
    except proofs.NotSealedYet as waiting:
        return Verification(Outcome.WAITING, waiting.detail)
    except KeyError:
        return Verification(
            Outcome.NOT_VALID,
            "The sealed tree has holes: leaves were removed.",
            size=checkpoint.size,
        )
    body = bytes(event.body)
    wrong = _wrong_columns(body, {name: getattr(event, name) for name in _COLUMNS})
    problem = ""
    try:
        signed = verifier.opened(checkpoint.note, [verifier.Key.parse(checkpoint.vkey)])
    except (verifier.NotValid, verifier.NotReadable) as bad:
        signed, problem = None, str(bad)
    if signed is not None and not verifier.inclusion_holds(
        index=proof.index,
        size=signed.size,
        leaf=verifier.leaf_hash(body),
        proof=proof.path,
        root=signed.root,
    ):
        problem = "The event is not the one that was sealed in its place."
    elif signed is not None and wrong:
        problem = f"The event's body is as sealed, but its search columns are not: {wrong}."
    return Verification(
        outcome=Outcome.NOT_VALID if problem else Outcome.VALID,
        detail=problem or f"Sealed as event {proof.index} of {checkpoint.size}.",
        index=proof.index,
        size=checkpoint.size,
        root=bytes(checkpoint.root).hex(),
        path=tuple(step.hex() for step in proof.path),
        note=checkpoint.note,
    )


def verify_everything() -> Verification:
    """Recompute the whole tree from the stored bodies, in chunks, and compare it with every
    leaf, every checkpoint and every search column. Names the first event that differs.
    """
    last = proofs.latest_checkpoint()
    if last is None:
        return Verification(Outcome.WAITING, "Nothing is sealed yet.")
    try:
        _walk(last)
    except verifier.NotValid as bad:
        return Verification(
            Outcome.NOT_VALID, f"{bad}.", index=bad.index, size=last.size, note=last.note
        )
    return Verification(
        Outcome.VALID,
        f"All {last.size} sealed events are as they were sealed.",
        size=last.size,
        root=bytes(last.root).hex(),
        note=last.note,
    )


def erasable_of(event: AuditEvent) -> dict[str, str | None]:
    """Return the erasable values of an event by their field; None is one that was erased.

    Raises verifier.NotValid for a value that is not the one whose digest was sealed.
    """
    digests = dict(_digests(event.content["body"]))
    found: dict[str, str | None] = {}
    for held in AuditErasable.objects.filter(event_id=event.id):
        if held.value is not None and held.salt is not None:
            digest = events.digest_of(held.value, bytes(held.salt))
            if digests.get(str(held.id)) != digest:
                raise verifier.NotValid(f"{held.field} of event {event.seq} was altered")
        found[held.field] = held.value
    return found


def _digests(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if value.keys() == {"erasable", "digest"}:
            yield value["erasable"], value["digest"]
        else:
            for inner in value.values():
                yield from _digests(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _digests(inner)


def _walk(last: AuditCheckpoint) -> None:
    frontier = verifier.Frontier()
    checkpoints = proofs.checkpoints(first_id=0, last_id=last.id)
    awaited = next(checkpoints, None)
    for seq, body, idx, leaf, columns in _sealed(last):
        while awaited is not None and awaited.size <= frontier.size:
            _must_be_signed(awaited, frontier)
            awaited = next(checkpoints, None)
        index = frontier.size
        if seq is None or body is None:
            raise verifier.NotValid(f"Event {index} is gone: its leaf has no event", index)
        if idx != index or leaf is None:
            raise verifier.NotValid(f"Event {index} (seq {seq}) was put in: it has no leaf", index)
        found = verifier.leaf_hash(body)
        if found != leaf:
            raise verifier.NotValid(f"Event {index} (seq {seq}) was altered", index)
        wrong = _wrong_columns(body, columns)
        if wrong:
            raise verifier.NotValid(
                f"Event {index} (seq {seq}): its search columns were altered: {wrong}", index
            )
        frontier.append(found)
    while awaited is not None:
        _must_be_signed(awaited, frontier)
        awaited = next(checkpoints, None)


def _must_be_signed(checkpoint: AuditCheckpoint, frontier: verifier.Frontier) -> None:
    try:
        signed = verifier.opened(checkpoint.note, [verifier.Key.parse(checkpoint.vkey)])
    except verifier.NotReadable as bad:
        raise verifier.NotValid(f"The checkpoint of {checkpoint.size}: {bad}") from bad
    if (signed.size, signed.root) != (frontier.size, frontier.root()):
        raise verifier.NotValid(
            f"The events before {frontier.size} are not those of the checkpoint of {signed.size}"
        )


type _Row = tuple[int | None, bytes | None, int | None, bytes | None, Mapping[str, Any]]


def _sealed(last: AuditCheckpoint) -> Iterator[_Row]:
    """Yield what should be sealed event by sealed event, in the order of sealing: a full join of
    leaves and events, so that neither can lack its other half unseen.
    """
    start = 0
    while start < last.size:
        end = min(start + _CHUNK, last.size)
        yield from _chunk(start, end)
        start = end
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.seq FROM audit_event e LEFT JOIN audit_leaf l USING (seq) "
            "WHERE l.seq IS NULL AND (e.seq <= %s OR (e.txid, e.seq) <= "
            "((SELECT last_txid FROM audit_checkpoint WHERE id = %s), %s)) "
            "ORDER BY e.txid, e.seq LIMIT 1",
            [last.base_seq, last.id, last.last_seq],
        )
        stray = cursor.fetchone()
    if stray:
        yield stray[0], b"", None, None, {}


def _chunk(start: int, end: int) -> Iterator[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT l.idx, l.leaf, e.seq, e.body, {', '.join(f'e.{name}' for name in _COLUMNS)} "  # noqa: S608 -- fixed names
            "FROM audit_leaf l LEFT JOIN audit_event e ON e.seq = l.seq "
            "WHERE l.idx >= %s AND l.idx < %s ORDER BY l.idx",
            [start, end],
        )
        rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    expected = start
    for idx, leaf, seq, body, *columns in rows:
        if idx < expected:
            raise verifier.NotValid(f"Event {idx} stands there twice", idx)
        if idx != expected:
            break
        expected += 1
        content = None if body is None else bytes(body)
        yield seq, content, idx, bytes(leaf), dict(zip(_COLUMNS, columns, strict=True))
    if expected != end:
        raise verifier.NotValid(f"The leaf of event {expected} is gone", expected)


def _wrong_columns(body: bytes, columns: Mapping[str, Any]) -> str:
    """Return the names of the columns that don't say what the body says."""
    try:
        right = index_terms.columns_of(events.content_of(body))
    except (ValueError, KeyError, TypeError):
        return "the body is no event"
    return ", ".join(
        name for name in _COLUMNS if _comparable(columns[name]) != _comparable(right[name])
    )


def _comparable(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value

"""Makes recordings searchable: from the store, never in the path of what is recorded.

It is slow and optional, so nothing that is neither waits for it: it works in short turns, one
recording after the other, computes outside every transaction, and is done by one thread of a
process at most. Everything here can be thrown away and made again from the recording (`rebuild`).
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from jit.kernel import db
from sessions.recording import store_reader
from sessions.recording.models import Command, Recording, TranscriptLine
from sessions.recording.stores.base import Store, StoreFailed, store
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.stripper import Line, Stripper

log = logging.getLogger(__name__)
MOST_LINES = 200_000
MOST_COMMANDS = 50_000
MOST_RECORDINGS = 50
"""Recordings taken in one run of the clock's task, if there is time for them."""
RUN_SECONDS = 4.0
TURN_SECONDS = 1.0
"""How long one recording is worked at before the next one's turn, to the end of a piece."""
PAUSE = dt.timedelta(seconds=10)
"""Between two turns of a recording that grows; for so long also, nobody else begins one. One that
is whole goes on in its next turn.
"""
_ROWS = 2_000
_working = threading.Lock()


def index_what_is_due(*, where: Store | None = None) -> int:
    """Give a turn to recordings that grew or ended since their last, those that had none first;
    return how many. A slow or broken one costs the others nothing. Does nothing while another
    thread of this process is at it.
    """
    if not _working.acquire(blocking=False):
        return 0
    try:
        return _index_what_is_due(where or store())
    finally:
        _working.release()


def _index_what_is_due(where: Store) -> int:
    """Go round until nobody is due or the time of a run is over."""
    until, turns = time.monotonic() + RUN_SECONDS, 0
    while True:
        before = turns
        for session_id in _due(db.now()):
            if time.monotonic() > until:
                return turns
            turns += _turn(session_id, where)
        if turns == before:
            return turns


def _due(now: dt.datetime) -> list[UUID]:
    due = (
        Recording.objects.filter(text_done=False)
        .filter(Q(pieces__gt=F("indexed_pieces")) | Q(stored_at__isnull=False))
        .filter(Q(indexed_at__isnull=True) | Q(indexed_at__lte=now - PAUSE))
        .order_by(F("indexed_at").asc(nulls_first=True))
    )
    return list(due.values_list("pk", flat=True)[:MOST_RECORDINGS])


def _turn(session_id: UUID, where: Store) -> bool:
    """Return whether something of the recording was indexed."""
    try:
        return _claim(session_id) and index(session_id, where=where) and _release(session_id)
    except StoreFailed as away:
        log.warning("the text of session %s waits for the store: %s", session_id, away)
    except Exception:
        log.exception("the text of session %s can't be made", session_id)
    return False


def _claim(session_id: UUID) -> bool:
    """Take the next turn of a recording, unless somebody else did; it holds for PAUSE."""
    now = db.now()
    free = Q(indexed_at__isnull=True) | Q(indexed_at__lte=now - PAUSE)
    return bool(
        Recording.objects.filter(free, pk=session_id, text_done=False).update(indexed_at=now)
    )


def _release(session_id: UUID) -> bool:
    """Make a recording that is whole and not wholly indexed due again, behind all who wait."""
    unfinished = Recording.objects.filter(text_done=False, stored_at__isnull=False)
    unfinished.filter(pk=session_id).update(indexed_at=db.now() - PAUSE)
    return True


def index(session_id: UUID, *, where: Store, seconds: float | None = None) -> bool:
    """Index what the store has of a recording beyond what is indexed, for so many seconds (a turn);
    return False if somebody else did meanwhile. The last part is indexed once all of it is stored.
    """
    row = Recording.objects.filter(pk=session_id, text_done=False).first()
    if row is None:
        return False
    until = time.monotonic() + (TURN_SECONDS if seconds is None else seconds)
    step = _Step(row)
    reading = store_reader.reading(row, from_piece=row.indexed_pieces, where=where)
    for following, events in reading.by_piece():
        step.take(step.stripper.take(events), upto=following)
        over = time.monotonic() > until
        if (over or step.is_full) and not step.write(more=over):
            return False
        if over:
            return True
    step.upto = max(step.upto, reading.pieces)
    ends = row.stored_at is not None
    if ends:
        step.take(step.stripper.end(), upto=step.upto)
    return step.write(done=ends)


def rebuild(session_id: UUID, *, where: Store | None = None) -> None:
    """Throw a session's text away and make it anew."""
    with transaction.atomic():
        TranscriptLine.objects.filter(session_id=session_id).delete()
        Command.objects.filter(session_id=session_id).delete()
        Recording.objects.filter(pk=session_id, deleted_at__isnull=True).update(
            indexed_pieces=0, text_lines=0, text_commands=0, text_state={}, text_done=False,
            text_truncated=False,
        )  # fmt: skip
    index(session_id, where=where or store(), seconds=float("inf"))


@dataclass(slots=True)
class _Step:
    """What was found since the last write, and how far `row`, as it was read, has come."""

    row: Recording
    stripper: Stripper = field(init=False)
    upto: int = field(init=False)
    lines: list[Line] = field(default_factory=list)
    commands: list[Found] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stripper = Stripper(self.row.text_state)
        self.upto = self.row.indexed_pieces

    @property
    def is_full(self) -> bool:
        return len(self.lines) + len(self.commands) >= _ROWS

    def take(self, found: Iterable[Line | Found], *, upto: int) -> None:
        """Keep lines and commands up to the caps; past that of lines no more are made."""
        for each in found:
            if isinstance(each, Found):
                if self.row.text_commands + len(self.commands) < MOST_COMMANDS:
                    self.commands.append(each)
                else:
                    self.row.text_truncated = True
            elif self.row.text_lines + len(self.lines) < MOST_LINES:
                self.lines.append(each)
            else:
                self.row.text_truncated = self.stripper.facts_only = True
        self.upto = max(self.upto, upto)

    def write(self, *, more: bool = False, done: bool = False) -> bool:
        """Write what was found, in one short transaction that holds the recording's row only at
        its end; return False if somebody else has written this part already.
        """
        row = self.row
        now = db.now()
        values = {
            "indexed_pieces": self.upto,
            "text_lines": row.text_lines + len(self.lines),
            "text_commands": row.text_commands + len(self.commands),
            "text_truncated": row.text_truncated,
            "text_state": {} if done else self.stripper.state(),
            "text_done": done,
            # Who has more to do comes again at once, after all the others.
            "indexed_at": now - PAUSE if more else now,
        }
        mine = Recording.objects.filter(
            pk=row.pk, indexed_pieces=row.indexed_pieces, text_done=False
        )
        try:
            with transaction.atomic():
                self._insert()
                overtaken = not mine.update(**values)
                transaction.set_rollback(overtaken)
        except IntegrityError:
            overtaken = True
        if overtaken:
            return False
        for name, value in values.items():
            setattr(row, name, value)
        self.lines, self.commands = [], []
        return True

    def _insert(self) -> None:
        row = self.row
        TranscriptLine.objects.bulk_create(
            [
                TranscriptLine(session_id=row.pk, number=number, at_ms=line.at_ms, text=line.text)
                for number, line in enumerate(self.lines, row.text_lines)
            ],
            batch_size=_ROWS,
        )
        Command.objects.bulk_create(
            [
                Command(
                    session_id=row.pk, number=number, at_ms=each.at_ms, tier=each.tier,
                    kind=each.kind, text=each.text, detail=each.detail,
                )
                for number, each in enumerate(self.commands, row.text_commands)
            ],
            batch_size=_ROWS,
        )  # fmt: skip

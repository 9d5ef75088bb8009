"""Makes recordings searchable: from the store, never in the path of what is recorded.

Everything here can be thrown away and made again from the recording (`rebuild`).
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from itertools import batched
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from jit.kernel import db
from sessions.recording import stored
from sessions.recording.asciicast import Event
from sessions.recording.models import Command, Recording, TranscriptLine
from sessions.recording.stores.base import Store, StoreFailed, store
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.stripper import Line, Stripper

log = logging.getLogger(__name__)
MOST_LINES = 200_000
MOST_COMMANDS = 50_000
MOST_RECORDINGS = 50
"""Recordings taken in one run of the clock's task."""
PAUSE = dt.timedelta(seconds=10)
_ROWS = 2_000


def index_what_is_due(*, where: Store | None = None) -> int:
    """Index recordings that grew or ended since; return how many. One after the other, each in
    its own transaction, so that a slow or broken one costs the others nothing.
    """
    now = db.now()
    due = (
        Recording.objects.filter(text_done=False)
        .filter(Q(pieces__gt=F("indexed_pieces")) | Q(stored_at__isnull=False))
        .filter(Q(indexed_at__isnull=True) | Q(indexed_at__lt=now - PAUSE))
        .order_by(F("indexed_at").asc(nulls_first=True))
        .values_list("pk", flat=True)[:MOST_RECORDINGS]
    )
    done = 0
    for session_id in due:
        try:
            done += index(session_id, where=where or store())
        except StoreFailed as away:
            log.warning("the text of session %s waits for the store: %s", session_id, away)
            _look_later(session_id)
        except Exception:
            log.exception("the text of session %s can't be made", session_id)
            _look_later(session_id)
    return done


def index(session_id: UUID, *, where: Store) -> bool:
    """Index what the store has of a recording beyond what is indexed; return False if somebody
    else is at it. The last part is indexed once all of it is stored.
    """
    with transaction.atomic():
        row = (
            Recording.objects.select_for_update(skip_locked=True)
            .filter(pk=session_id, text_done=False)
            .first()
        )
        if row is None:
            return False
        reading = stored.reading(row, from_piece=row.indexed_pieces, where=where)
        stripper = Stripper(row.text_state)
        ends = row.stored_at is not None
        _keep(row, _all_of(stripper, reading.events(), ends=ends))
        row.indexed_pieces = max(row.indexed_pieces, reading.pieces)
        row.text_state = {} if ends else stripper.state()
        row.text_done = ends
        row.indexed_at = db.now()
        row.save(
            update_fields=["indexed_pieces", "indexed_at", "text_done", "text_state",
                           "text_lines", "text_commands", "text_truncated"]
        )  # fmt: skip
    return True


def rebuild(session_id: UUID, *, where: Store | None = None) -> None:
    """Throw a session's text away and make it anew."""
    with transaction.atomic():
        TranscriptLine.objects.filter(session_id=session_id).delete()
        Command.objects.filter(session_id=session_id).delete()
        Recording.objects.filter(pk=session_id, deleted_at__isnull=True).update(
            indexed_pieces=0, text_lines=0, text_commands=0, text_state={}, text_done=False,
            text_truncated=False,
        )  # fmt: skip
        index(session_id, where=where or store())


def _all_of(stripper: Stripper, events: Iterable[Event], *, ends: bool) -> Iterator[Line | Found]:
    yield from stripper.take(events)
    if ends:
        yield from stripper.end()


def _keep(row: Recording, found: Iterable[Line | Found]) -> None:
    """Write lines and commands under the row's next numbers, up to the caps."""
    for some in batched(found, _ROWS):
        lines = [each for each in some if isinstance(each, Line)]
        room = max(0, MOST_LINES - row.text_lines)
        row.text_truncated = row.text_truncated or len(lines) > room
        TranscriptLine.objects.bulk_create(
            TranscriptLine(
                session_id=row.pk, number=row.text_lines + n, at_ms=line.at_ms, text=line.text
            )
            for n, line in enumerate(lines[:room])
        )
        row.text_lines += len(lines[:room])
        commands = [each for each in some if isinstance(each, Found)]
        room = max(0, MOST_COMMANDS - row.text_commands)
        row.text_truncated = row.text_truncated or len(commands) > room
        Command.objects.bulk_create(
            Command(
                session_id=row.pk, number=row.text_commands + n, at_ms=each.at_ms, tier=each.tier,
                kind=each.kind, text=each.text, detail=each.detail,
            )
            for n, each in enumerate(commands[:room])
        )  # fmt: skip
        row.text_commands += len(commands[:room])


def _look_later(session_id: UUID) -> None:
    Recording.objects.filter(pk=session_id).update(indexed_at=db.now())

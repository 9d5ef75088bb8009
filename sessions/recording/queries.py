"""Reads of recordings and their text, for people who may see the sessions."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import Exists, QuerySet

from jit.audit import queries as audit
from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import InvalidInput
from sessions import queries as sessions
from sessions.models import AccessSession
from sessions.recording import store_reader
from sessions.recording.models import Command, LegalHold, Recording, TranscriptLine
from sessions.recording.reading import Reading
from sessions.recording.redaction import Redactor

PAGE = 50
_WALK = 20_000
"""So many of the newest lines are looked at one by one before the index is asked."""
_FARTHEST = 80_000
"""So many, if what was met in the first of them lets enough be hoped for."""
_SHORT = 16
_TRIGRAM = 3
_TIMEOUT_MS = 2_000
_WORD = re.compile(r"\w{3}")
_WORDS = re.compile(r"\w+")


class SearchTooShort(InvalidInput):
    """There is nothing to look up in the index."""

    status = 422


class SearchTooBroad(InvalidInput):
    """The database could not answer in time."""

    status = 422


@dataclass(frozen=True, slots=True)
class Filters:
    """Narrow a search; all may be left out. `kind`: output, command, statement, file."""

    session_id: UUID | None = None
    user: str = ""
    role: str = ""
    target: str = ""
    kind: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One line or command; `tier` is empty for output."""

    session: AccessSession
    at_ms: int
    text: str
    kind: str
    tier: str = ""


def to_verify() -> QuerySet[Recording]:
    """Return the recordings that are in the store, and so are to be verified from time to time."""
    return Recording.objects.filter(stored_at__isnull=False, deleted_at__isnull=True)


@dataclass(frozen=True, slots=True)
class Sealing:
    """The event that sealed a session, by its number, and the digest of its recording there."""

    seq: int
    digest: str | None


def sealing_of(session: AccessSession) -> Sealing | None:
    """Return what the log says of this session's recording, or None while it is not sealed."""
    events = audit.timeline_of_request(session.grant.request_id)
    mine = (each for each in events if each.subject_id == str(session.pk))
    found = next((each for each in mine if each.action == "session.sealed"), None)
    return Sealing(found.seq, found.content.get("body", {}).get("digest")) if found else None


def holds_for(user: User, session: AccessSession) -> list[LegalHold]:
    """Return the legal holds on a session's recording, the newest first, for whoever may set
    them; nobody else learns that there is a case.
    """
    if not permissions.has(user, Permission.SESSION_READ_ALL):
        return []
    found = LegalHold.objects.filter(recording_id=session.pk)
    return list(found.select_related("set_by", "release_asked_by", "lifted_by").order_by("-set_at"))


def recording_of(session: AccessSession) -> Recording | None:
    return Recording.objects.filter(pk=session.pk).prefetch_related("holds").first()


def reading(session: AccessSession, *, from_piece: int = 0) -> Reading | None:
    """Return a reading of a session's recording from the store, or None if there is nothing to
    read (not recorded, or deleted when its time was over). Raises StoreFailed as it goes.
    """
    row = Recording.objects.filter(pk=session.pk, deleted_at__isnull=True).first()
    if row is None or not row.preamble:
        return None
    return store_reader.reading(row, from_piece=from_piece)


def text_of[Row: (TranscriptLine, Command)](
    kind: type[Row], session: AccessSession
) -> QuerySet[Row]:
    """Return the lines or commands of a session; none once its recording was deleted, since its
    text goes part by part.
    """
    gone = Recording.objects.filter(pk=session.pk, deleted_at__isnull=False)
    return kind.objects.filter(~Exists(gone), session=session)


def transcript(
    session: AccessSession, *, after: int = -1, most: int = 1000
) -> list[TranscriptLine]:
    """Return lines of the transcript behind number `after`, redacted."""
    rows = text_of(TranscriptLine, session).filter(number__gt=after).order_by("number")[:most]
    redactor = Redactor.of_settings()
    found = list(rows)
    for row in found:
        row.text = redactor.text(row.text)
    return found


def commands(session: AccessSession, *, after: int = -1, most: int = 1000) -> list[Command]:
    """Return the session's commands behind number `after`, redacted."""
    rows = text_of(Command, session).filter(number__gt=after).order_by("number")[:most]
    redactor = Redactor.of_settings()
    found = list(rows)
    for row in found:
        row.text = redactor.text(row.text)
        row.detail = _redacted(row.detail, redactor)
    return found


def search(viewer: User, q: str, filters: Filters | None = None, *, most: int = PAGE) -> list[Hit]:
    """Return the newest hits of `q`, anywhere in a line and whatever its case, in sessions that
    `viewer` may see.

    What redaction hides can't be found. Raises SearchTooShort and SearchTooBroad.
    """
    wanted, given = q.strip(), filters or Filters()
    if not _WORD.search(wanted):
        raise SearchTooShort(
            "Give at least three letters or digits in a row.", fields={"q": ["too short"]}
        )
    rows: list[tuple[Any, ...]] = []
    try:
        with transaction.atomic():
            among = _among(viewer, given)
            if among is None or among:
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL statement_timeout = {_TIMEOUT_MS}")
                if given.kind in {"", "output"}:
                    rows += _lines(wanted, among, most)
                if given.kind != "output":
                    rows += _commands(wanted, among, given.kind, most)
    except OperationalError as slow:
        raise SearchTooBroad(
            "That takes too long. Give a longer text, or name a session, a person or days."
        ) from slow
    rows.sort(key=lambda row: (row[0], row[1]), reverse=True)
    return list(_hits(rows[:most], wanted))


def _among(viewer: User, filters: Filters) -> list[UUID] | None:
    """Return the sessions to search in; None for all."""
    everything = permissions.has(viewer, Permission.SESSION_READ_ALL)
    if everything and filters == Filters(kind=filters.kind):
        return None
    rows = sessions.filter_sessions(
        sessions.sessions_visible_to(viewer), user=filters.user, role=filters.role,
        target=filters.target, since=filters.since, until=filters.until,
    )  # fmt: skip
    if filters.session_id:
        rows = rows.filter(pk=filters.session_id)
    return list(rows.select_related(None).values_list("pk", flat=True)[:20_000])


_WALKED = """
SELECT session_id, at_ms, text, {more} FROM (
    SELECT * FROM {table} ORDER BY session_id DESC, number DESC LIMIT %(walk)s
) AS newest WHERE text ILIKE %(like)s {where} LIMIT %(most)s
"""
_WALKED_AMONG = """
SELECT session_id, at_ms, text, {more} FROM (
    SELECT line.* FROM unnest(%(among)s::uuid[]) AS one
    CROSS JOIN LATERAL (
        SELECT * FROM {table} WHERE session_id = one ORDER BY number DESC
    ) AS line LIMIT %(walk)s
) AS newest WHERE text ILIKE %(like)s {where} LIMIT %(most)s
"""
_INDEXED = """
SELECT session_id, at_ms, text, {more} FROM {table}
WHERE text ILIKE %(rare)s AND (text || '') ILIKE %(like)s
    AND (%(among)s::uuid[] IS NULL OR session_id = ANY(%(among)s)) {where}
ORDER BY session_id DESC, number DESC LIMIT %(most)s
"""


def _lines(wanted: str, among: Sequence[UUID] | None, most: int) -> list[tuple[Any, ...]]:
    return _looked_up("jit_sessions_transcriptline", "'output', ''", "", wanted, among, most)


def _commands(
    wanted: str, among: Sequence[UUID] | None, kind: str, most: int
) -> list[tuple[Any, ...]]:
    where = "AND kind = %(kind)s" if kind else ""
    return _looked_up("jit_sessions_command", "kind, tier", where, wanted, among, most, kind=kind)


def _looked_up(
    table: str, more: str, where: str, wanted: str, among: Sequence[UUID] | None, most: int,
    **given: Any,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Return the newest rows. A common text is met soon when walking back in time, where the
    index would gather it from everywhere first; only what is not is looked up in the index. The
    planner can't tell which it is from its statistics, so it is told each time what to do.
    """
    values = {
        "like": f"%{_escaped(wanted)}%", "rare": f"%{_escaped(_rarest(wanted))}%", "most": most,
        "among": None if among is None else sorted(among, reverse=True), "walk": _WALK, **given,
    }  # fmt: skip
    walked = _WALKED if among is None else _WALKED_AMONG
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(walked.format(table=table, more=more, where=where), values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        further = _WALK * most * 4 // (3 * len(found)) if found else _FARTHEST + 1
        if len(found) < most and further <= _FARTHEST:
            values["walk"] = further
            cursor.execute(walked.format(table=table, more=more, where=where), values)
            found = cursor.fetchall()
        if len(found) < most:
            cursor.execute("SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = on")
            cursor.execute(_INDEXED.format(table=table, more=more, where=where), values)
            found = cursor.fetchall()
        cursor.execute("SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on")
        cursor.execute("SET LOCAL enable_indexscan = on")
    return found


def _rarest(wanted: str) -> str:
    """Return the part to ask the index for: each further common part makes it slower. A word
    with a digit in it is likely the rarest, else the longest word with its neighbour is.
    """
    if len(wanted) <= _SHORT:
        return wanted
    words = [found for found in _WORDS.finditer(wanted) if len(found.group()) > _TRIGRAM]
    digits = [found for found in words if any(map(str.isdigit, found.group()))]
    if not words:
        return wanted
    best = max(digits or words, key=lambda found: len(found.group()))
    return best.group() if digits else wanted[best.start() : best.end() + _SHORT // 2]


def _hits(rows: Sequence[tuple[Any, ...]], wanted: str) -> Iterator[Hit]:
    redactor = Redactor.of_settings()
    kept = sessions.sessions().exclude(recording__deleted_at__isnull=False)
    found = {row.pk: row for row in kept.filter(pk__in={row[0] for row in rows})}
    for session_id, at_ms, text, kind, tier in rows:
        if session_id not in found:
            continue  # Deleted, and its text is on its way out.
        told = redactor.text(text)
        if told != text and wanted.casefold() not in told.casefold():
            continue
        yield Hit(found[session_id], at_ms, told, kind, tier)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _redacted(detail: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    return {key: _hidden(value, redactor) for key, value in detail.items()}


def _hidden(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, list):
        return [_hidden(one, redactor) for one in value]
    return redactor.text(value) if isinstance(value, str) else value

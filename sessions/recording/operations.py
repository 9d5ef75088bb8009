"""Writes what is known of recordings: heads, standing, and the sealing of their sessions."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.kernel.actor import CLOCK
from sessions import queries as sessions
from sessions.models import AccessSession
from sessions.operations import lifecycle
from sessions.recording import problems as told
from sessions.recording.models import Recording, Standing
from sessions.recording.problems import Problem
from sessions.recording.segments import Preamble
from sessions.recording.writer import RecordingCheckpoint
from sessions.states import SessionState

log = logging.getLogger(__name__)
_HEAD = ["pieces", "size", "digest", "lines", "last_us", "final", "failed", "head_at"]
MOST_PROBLEMS = 200
"""So many problems of one recording are kept by name; a count says how many there were."""


@dataclass(frozen=True, slots=True)
class Row:
    """How far one recording has come, for the books."""

    session_id: UUID
    preamble: bytes
    head: RecordingCheckpoint
    failed: str = ""


def save_heads(*, rows: Sequence[Row], now: dt.datetime) -> None:
    """Write the heads of many live recordings in one statement. Sessions that the database doesn't
    know are passed over with an error in the log.
    """
    made = [_recording(row, now) for row in rows]
    try:
        _upsert(made)
    except IntegrityError:
        known = _known([row.session_id for row in rows])
    else:
        return
    for row in made:
        if row.session_id not in known:
            log.error("a recording of session %s, which the books don't know", row.session_id)
    _upsert([row for row in made if row.session_id in known])


def _known(session_ids: Sequence[UUID]) -> set[UUID]:
    return set(AccessSession.objects.filter(pk__in=session_ids).values_list("pk", flat=True))


def _upsert(rows: Sequence[Recording]) -> None:
    with transaction.atomic():
        Recording.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["session"], update_fields=_HEAD
        )


def _recording(row: Row, now: dt.datetime) -> Recording:
    preamble, _ = Preamble.decode(row.preamble)
    return Recording(
        session_id=row.session_id,
        began_at=dt.datetime.fromtimestamp(preamble.began / 1e6, dt.UTC),
        preamble=row.preamble,
        pieces=row.head.pieces,
        size=row.head.size,
        digest=row.head.digest.hex(),
        lines=row.head.lines,
        last_us=row.head.last,
        final=row.head.final,
        failed=row.failed[:300],
        head_at=now,
    )


def recovered(*, row: Row, now: dt.datetime) -> Recording | None:
    """Note what a dead gateway left in its spool; return the recording as the books have it now,
    or None where they know no such session.

    The books may know more pieces than there are: then the end is lost, and will be said so.
    """
    if not AccessSession.objects.filter(pk=row.session_id).exists():
        return None
    known = Recording.objects.filter(pk=row.session_id).first()
    if known is None or row.head.pieces > known.pieces or (row.head.final and not known.final):
        why = known.failed if known and not row.head.final else ""
        save_heads(rows=[replace(row, failed=why)], now=now)
    return Recording.objects.get(pk=row.session_id)


def keep_until(*, session: AccessSession, now: dt.datetime) -> dt.datetime:
    """Return until when a recording of this session is kept, by the risk of its role."""
    days: Mapping[str, int] = settings.RECORDINGS_KEPT_DAYS
    return now + dt.timedelta(days=days[session.role.risk])


def stored(
    *, session_id: UUID, problems: Sequence[Problem], keep: dt.datetime, now: dt.datetime
) -> None:
    """Note that all there is of a recording is in the store and was read back from there; its
    session is sealed if it is closed.
    """
    standing = told.standing(problems)
    with transaction.atomic():
        Recording.objects.filter(pk=session_id, stored_at__isnull=True).update(
            stored_at=now, verified_at=now, standing=standing, keep_until=keep, set_aside="",
            problems=[problem.plain() for problem in problems[:MOST_PROBLEMS]],
        )  # fmt: skip
        seal_if_closed(session_id=session_id, now=now)
    if standing is not Standing.WHOLE:
        log.error(
            "the recording of session %s is %s: %s", session_id, standing,
            "; ".join(problem.sentence for problem in problems[:5]),
            extra={"session_id": str(session_id)},
        )  # fmt: skip


def seal_if_closed(*, session_id: UUID, now: dt.datetime) -> bool:
    """Seal the session if it is CLOSED and its recording stored; return whether it was.

    The event holds the recording's final digest, so that neither it nor the books can be
    changed afterwards without the log disagreeing.
    """
    with transaction.atomic():
        recording = (
            Recording.objects.select_for_update()
            .filter(pk=session_id, stored_at__isnull=False, session__state=SessionState.CLOSED)
            .first()
        )
        if recording is None:
            return False
        lifecycle.seal(session_id=session_id, body=sealed_body(recording), now=now)
    return True


def sealed_body(recording: Recording) -> dict[str, Any]:
    """Return what the sealing says of a recording."""
    return {
        "recording": recording.standing,
        "digest": recording.digest,
        "pieces": recording.pieces,
        "bytes": recording.size,
        "seconds": recording.last_us // 1_000_000,
        "problems": [problem["sentence"] for problem in recording.problems[:20]],
        "problem_count": len(recording.problems),
    }


def seal_unrecorded(*, session_id: UUID, now: dt.datetime) -> None:
    """Seal a closed session of which nothing was to be recorded."""
    with transaction.atomic():
        lifecycle.seal(session_id=session_id, body={"recording": "none"}, now=now)


def set_aside(*, session_id: UUID, why: str, now: dt.datetime) -> None:
    """Note that a recording can't be brought to the store and waits for an operator."""
    log.critical(
        "the recording of session %s was set aside: %s", session_id, why,
        extra={"session_id": str(session_id)},
    )  # fmt: skip
    with transaction.atomic():
        session = sessions.sessions().filter(pk=session_id).first()
        if session is None:
            _note_foreign(session_id=session_id, why=why, now=now)
            return
        Recording.objects.filter(pk=session_id).update(
            set_aside=why[:300], standing=Standing.INCOMPLETE.value
        )
        _tell("recording.set-aside", session, {"why": why[:300]}, now)


def _note_foreign(*, session_id: UUID, why: str, now: dt.datetime) -> None:
    """Put on record that here lies the recording of a session that our database doesn't know, as
    after the restore of an older dump: auditors find it in the log, its bytes are kept.
    """
    audit.record(
        action="recording.foreign",
        actor=CLOCK,
        now=now,
        subject=audit.Subject(
            type="session", id=str(session_id), label="a session that the database doesn't know"
        ),
        body={"why": why[:300]},
    )


def missing(*, session_id: UUID, now: dt.datetime) -> None:
    """Note that of a recording that had to be nothing reached the store, and seal its session."""
    with transaction.atomic():
        session = sessions.sessions().get(pk=session_id)
        recording, _ = Recording.objects.get_or_create(
            pk=session_id,
            defaults={"began_at": session.opened_at, "preamble": b"", "digest": "", "head_at": now},
        )
        sentence = "Nothing of this recording reached the store."
        Recording.objects.filter(pk=recording.pk).update(
            standing=Standing.MISSING.value,
            problems=[Problem(told.Kind.GAP, sentence).plain()],
            text_done=True,
        )
        recording.refresh_from_db()
        _tell("recording.missing", session, {"pieces": recording.pieces}, now)
        lifecycle.seal(session_id=session_id, body=sealed_body(recording), now=now)
    log.critical("of the recording of session %s nothing reached the store", session_id)


def checked_again(*, session_id: UUID, problems: Sequence[Problem], now: dt.datetime) -> Standing:
    """Note what the daily check found. What was not wrong when it was sealed breaks it."""
    with transaction.atomic():
        recording = Recording.objects.select_for_update().get(pk=session_id)
        before = {(each["kind"], each["first"], each["last"]) for each in recording.problems}
        fresh = [
            problem
            for problem in problems
            if (problem.kind.value, problem.first, problem.last) not in before
        ]
        standing = Standing.BROKEN if fresh else Standing(recording.standing)
        Recording.objects.filter(pk=session_id).update(
            verified_at=now, standing=standing,
            problems=[*recording.problems, *(problem.plain() for problem in fresh)][:MOST_PROBLEMS],
        )  # fmt: skip
        if fresh:
            session = sessions.sessions().get(pk=session_id)
            sentences = [problem.sentence for problem in fresh[:20]]
            _tell("recording.broken", session, {"problems": sentences}, now)
    if fresh:
        log.critical(
            "the stored recording of session %s is broken: %s", session_id, fresh[0].sentence,
            extra={"session_id": str(session_id)},
        )  # fmt: skip
    return standing


def _tell(action: str, session: AccessSession, body: Mapping[str, Any], now: dt.datetime) -> None:
    audit.record(
        action=action,
        actor=CLOCK,
        now=now,
        subject=audit.Subject(type="session", id=str(session.pk), label=str(session)),
        links=audit.Links(**session.audit_links()),
        body=body,
    )

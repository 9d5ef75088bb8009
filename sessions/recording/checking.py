"""Reads every stored recording again each day, a share at a time, and seals what is ready to be."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time

from django.conf import settings
from django.db.models import Q

from jit.kernel import db
from sessions.models import AccessSession
from sessions.recording import operations, queries, store_reader
from sessions.recording.models import Recording
from sessions.recording.problems import Kind, Problem
from sessions.recording.stores.base import Store, StoreFailed, store
from sessions.states import SessionState

log = logging.getLogger(__name__)
_missing = threading.Lock()
MOST = 200
"""So many sessions are sealed in one run."""
MOST_READ = 20_000
"""So many recordings are read in one run, if there is time for them."""
AHEAD = dt.timedelta(hours=1)
"""So long before its day is over a recording's turn comes, so that none is ever late."""


def check_again(*, where: Store | None = None) -> int:
    """Verify stored recordings that were not for RECORDINGS_VERIFY_DAYS, those waiting longest
    first, for RECORDINGS_VERIFY_SECONDS at most; return how many were read. What there was no
    time for, and what the store doesn't give now, is left for the next run.
    """
    began, now = time.monotonic(), db.now()
    every = dt.timedelta(days=settings.RECORDINGS_VERIFY_DAYS)
    due = queries.to_verify().filter(verified_at__lt=now - every + AHEAD).order_by("verified_at")
    waiting = list(due.values_list("pk", flat=True)[:MOST_READ])
    read = 0
    for number, session_id in enumerate(waiting):
        if time.monotonic() - began >= settings.RECORDINGS_VERIFY_SECONDS:
            _behind(now - every, left=len(waiting) - number)
            break
        recording = queries.to_verify().filter(pk=session_id).first()
        if recording and check(recording, where=where or store(), now=now):
            read += 1
    return read


def _behind(since: dt.datetime, *, left: int) -> None:
    """Say so if a recording was not verified in its time: the others' turns come later, too."""
    late = queries.to_verify().filter(verified_at__lt=since).count()
    if late:
        log.error(
            "%d recordings were not verified in their time, and %d wait: give workers more "
            "of JIT_RECORDINGS_VERIFY_SECONDS, or let JIT_RECORDINGS_VERIFY_DAYS be longer",
            late, left,
        )  # fmt: skip


def check(recording: Recording, *, where: Store, now: dt.datetime) -> bool:
    """Verify one, its bytes against the books and those against the sealed log; return False if
    the store could not be asked.
    """
    try:
        problems = store_reader.reading(recording, where=where).finish()
    except StoreFailed as away:
        log.warning("%s can't be verified now: %s", recording, away)
        return False
    if any(problem.kind is Kind.UNREADABLE for problem in problems):
        # An object that was listed and then not given: the store's trouble until it is proven.
        log.error("%s can't be read now: %s", recording, problems[0].sentence)
        return False
    problems += _unlike_the_log(recording)
    operations.checked_again(session_id=recording.pk, problems=problems, now=now)
    return True


def _unlike_the_log(recording: Recording) -> list[Problem]:
    """Return what tells that the books were changed after the session was sealed."""
    sealed = queries.sealing_of(recording.session)
    if sealed is None or sealed.digest == recording.digest:
        return []
    sentence = f"The sealed log (event {sealed.seq}) has another digest than the books."
    return [Problem(Kind.LOG, sentence)]


def seal_what_is_ready() -> int:
    """Seal closed sessions whose recording is stored, or that never had one; return how many.

    Of one that nothing reached the store of for RECORDINGS_MISSING_AFTER seconds, that is said.
    """
    now = db.now()
    ready = (
        Recording.objects.filter(stored_at__isnull=False, session__state=SessionState.CLOSED)
        .order_by("session__closed_at")
        .values_list("pk", flat=True)[:MOST]
    )
    sealed = sum(operations.seal_if_closed(session_id=pk, now=now) for pk in ready)
    sealed += _seal_the_unrecorded(now)
    # Reading what a lost gateway left takes as long as it is big: one thread of a process does it.
    if _missing.acquire(blocking=False):
        try:
            sealed += _miss_the_lost(now)
        finally:
            _missing.release()
    return sealed


def _seal_the_unrecorded(now: dt.datetime) -> int:
    never = AccessSession.objects.filter(
        Q(record="none") | Q(live_at__isnull=True),
        state=SessionState.CLOSED,
        recording__isnull=True,
        closed_at__lt=now - dt.timedelta(minutes=1),
    ).values_list("pk", flat=True)[:MOST]
    for session_id in never:
        operations.seal_unrecorded(session_id=session_id, now=now)
    return len(never)


def _miss_the_lost(now: dt.datetime) -> int:
    """A gateway's machine may be gone with its spool: the store then has all there will be."""
    overdue = AccessSession.objects.filter(
        Q(recording__isnull=True) | Q(recording__stored_at__isnull=True, recording__set_aside=""),
        state=SessionState.CLOSED,
        closed_at__lt=now - dt.timedelta(seconds=settings.RECORDINGS_MISSING_AFTER),
    ).exclude(record="none")[:MOST]
    done = 0
    for session in overdue:
        recording = Recording.objects.filter(pk=session.pk).first()
        try:
            there = recording is not None and store_reader.objects(session.pk, where=store())
            if recording is None or not there:
                operations.missing(session_id=session.pk, now=now)
            else:
                operations.stored(
                    session_id=session.pk,
                    problems=store_reader.reading(recording).finish(),
                    keep=operations.keep_until(session=session, now=now),
                    now=now,
                )
        except StoreFailed as away:
            log.warning("can't look for the recording of %s: %s", session, away)
            continue
        done += 1
    return done

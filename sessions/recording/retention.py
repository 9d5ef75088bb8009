"""How long recordings are kept: by risk, longer under a legal hold, never quietly deleted."""

from __future__ import annotations

import datetime as dt
import logging
from uuid import UUID

from django.db import transaction

from jit.audit import operations as audit
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound
from sessions import queries as sessions
from sessions.recording import store_reader
from sessions.recording.models import Command, LegalHold, Recording, TranscriptLine
from sessions.recording.stores.base import Store, StoreFailed, store

log = logging.getLogger(__name__)
MOST = 200


class HeldAlready(Conflict):
    """The recording is under a legal hold; it is lifted before another is set."""


class NotHeld(Conflict):
    """There is no legal hold to lift."""


class RecordingDeleted(Conflict):
    """The time of the recording was over and it was deleted; its history stays."""


class NothingToHold(NotFound):
    """Nothing of the session was recorded."""


class OwnRecording(NotAllowed):
    """Nobody lifts the hold on a recording of their own."""


class SecondAuditorNeeded(Conflict):
    """A hold is lifted by two people: the one who asked for it needs another."""


class HoldNotAllowed(NotAllowed):
    """Only who may read all sessions sets and lifts legal holds."""


class HoldNeedsReason(InvalidInput):
    """A legal hold is set or lifted without a word why."""


def hold(*, session_id: UUID, why: str, by: User, actor: Actor, now: dt.datetime) -> LegalHold:
    """Keep a session's recording until the hold is lifted, whatever its time.

    Raises HoldNotAllowed, HoldNeedsReason, NothingToHold, HeldAlready and RecordingDeleted.
    """
    reason = _allowed(why, by)
    with transaction.atomic():
        recording = _locked(session_id)
        if recording.deleted_at is not None:
            raise RecordingDeleted(
                f"The recording was deleted on {recording.deleted_at:%Y-%m-%d}: nothing is left "
                "to hold."
            )
        if recording.holds.filter(lifted_at__isnull=True).exists():
            raise HeldAlready("It is under a legal hold already. Lift that one to give another.")
        made = LegalHold.objects.create(recording=recording, why=reason, set_by=by, set_at=now)
        _tell("recording.held", session_id, actor, now, why=reason)
    return made


def lift(*, session_id: UUID, why: str, by: User, actor: Actor, now: dt.datetime) -> LegalHold:
    """Ask that the legal hold be lifted or, as another person, agree to what was asked, which
    lifts it; return the hold. Whoever was recorded has no part in it.

    Raises HoldNotAllowed, HoldNeedsReason, NothingToHold, NotHeld, OwnRecording and
    SecondAuditorNeeded.
    """
    reason = _allowed(why, by)
    with transaction.atomic():
        recording = _locked(session_id)
        if identity.same_person(sessions.sessions().get(pk=session_id).user, by):
            raise OwnRecording("It is a recording of yours: other auditors decide on its hold.")
        held = recording.holds.filter(lifted_at__isnull=True).first()
        if held is None:
            raise NotHeld("It is not under a legal hold. Load the page again.")
        if held.release_asked_by is None:
            held.release_asked_by, held.release_asked_at = by, now
            held.release_asked_why = reason
            _tell("recording.release-asked", session_id, actor, now, why=reason)
        elif identity.same_person(held.release_asked_by, by):
            raise SecondAuditorNeeded(
                f"{held.release_asked_by.username} asked for it already. The hold is lifted when "
                "another auditor agrees."
            )
        else:
            held.lifted_by, held.lifted_at, held.lifted_why = by, now, reason
            _tell("recording.released", session_id, actor, now, why=reason)
        held.save()
    return held


def _locked(session_id: UUID) -> Recording:
    found = Recording.objects.select_for_update().filter(pk=session_id).first()
    if found is None:
        raise NothingToHold("Nothing of this session is recorded, so there is nothing to hold.")
    return found


def delete_what_is_due(*, where: Store | None = None) -> int:
    """Delete recordings whose time is over, never one under a hold; return how many were.

    The decision is written first, after which nobody is shown anything of it; then the text is
    deleted, part by part, and the store is asked. What was not done is done at the next run. The
    row stays, and says when.
    """
    now = db.now()
    due = Recording.objects.filter(keep_until__lte=now, deleted_at__isnull=True).exclude(
        holds__lifted_at__isnull=True, holds__isnull=False
    )
    for session_id in due.values_list("pk", flat=True)[:MOST]:
        _decide(session_id, now)
    erased = 0
    waiting = Recording.objects.filter(deleted_at__isnull=False, erased_at__isnull=True)
    for session_id in waiting.values_list("pk", flat=True)[:MOST]:
        try:
            _erase_text(session_id)
            _erase(session_id, where or store())
        except StoreFailed as refused:
            log.warning("the recording of session %s waits to be deleted: %s", session_id, refused)
            continue
        Recording.objects.filter(pk=session_id).update(erased_at=now)
        erased += 1
    return erased


def _decide(session_id: UUID, now: dt.datetime) -> None:
    with transaction.atomic():
        recording = Recording.objects.select_for_update().get(pk=session_id)
        if recording.holds.filter(lifted_at__isnull=True).exists():
            return  # Set since we looked.
        Recording.objects.filter(pk=session_id).update(deleted_at=now, text_done=True)
        _tell(
            "recording.deleted", session_id, CLOCK, now,
            digest=recording.digest, pieces=recording.pieces, bytes=recording.size,
        )  # fmt: skip


def _erase_text(session_id: UUID) -> None:
    for kind in (TranscriptLine, Command):
        db.delete_in_parts(kind.objects.filter(session_id=session_id))


def _erase(session_id: UUID, where: Store) -> None:
    for name in store_reader.objects(session_id, where=where):
        where.delete(name)


def _allowed(why: str, by: User) -> str:
    if not permissions.has(by, Permission.SESSION_READ_ALL):
        raise HoldNotAllowed("Ask an auditor: only who may read all sessions holds recordings.")
    reason = why.strip().replace("\0", "")[:1000]
    if not reason:
        raise HoldNeedsReason(
            "Say why, for whoever reads this in a year.", fields={"reason": ["A reason is needed."]}
        )
    return reason


def _tell(action: str, session_id: UUID, actor: Actor, now: dt.datetime, **body: object) -> None:
    session = sessions.sessions().get(pk=session_id)
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=audit.Subject(type="session", id=str(session.pk), label=str(session)),
        links=audit.Links(**session.audit_links()),
        body=body,
    )

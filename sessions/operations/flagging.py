"""An auditor's flag on a session: somebody should look at this, and why."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from jit.audit import operations as audit
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput, NotAllowed, NotFound
from sessions import queries
from sessions.models import SessionFlag
from sessions.states import SESSION

LONGEST = 1000


class FlaggingNotAllowed(NotAllowed):
    """Only who may read all sessions flags them."""


class UnknownFlag(NotFound):
    """No such flag of this session."""


class OwnSession(NotAllowed):
    """Nobody settles what was flagged in a session of their own."""


class FlagSettled(Conflict):
    """Somebody settled the flag already."""


def flag(*, session_id: UUID, user: User, comment: str, actor: Actor) -> SessionFlag:
    """Flag a session; several people may, each with their own reason.

    Raises UnknownSession, FlaggingNotAllowed and InvalidInput for a missing comment.
    """
    session = queries.session_visible_to(user, session_id)
    _require(user)
    said = _comment(comment, "Say what you saw, for whoever looks at it next.")
    with transaction.atomic():
        now = db.now()
        row = SessionFlag.objects.create(session=session, user=user, comment=said, created_at=now)
        audit.record(
            action="session.flagged",
            actor=actor,
            now=now,
            subject=audit.subject_of(session, SESSION),
            links=audit.links_of(session, SESSION),
            body={"flag": str(row.pk), "comment": said},
        )
    return row


def settle(
    *, session_id: UUID, flag_id: UUID, user: User, comment: str, actor: Actor
) -> SessionFlag:
    """Note that the flag was looked into, and what came of it; the flag stays to be seen.

    Raises UnknownSession, FlaggingNotAllowed, OwnSession, InvalidInput, UnknownFlag and
    FlagSettled.
    """
    session = queries.session_visible_to(user, session_id)
    _require(user)
    if identity.same_person(session.user, user):
        raise OwnSession("It is a session of yours: another auditor says what came of the flag.")
    said = _comment(comment, "Say what came of it.")
    with transaction.atomic():
        row = SessionFlag.objects.select_for_update().filter(pk=flag_id, session=session).first()
        if row is None:
            raise UnknownFlag("There is no such flag on this session.")
        if row.settled_at is not None:
            raise FlagSettled("Somebody settled this flag already.")
        now = db.now()
        row.settled_at, row.settled_by, row.settled_comment = now, user, said
        row.save(update_fields=["settled_at", "settled_by", "settled_comment"])
        audit.record(
            action="session.flag-settled",
            actor=actor,
            now=now,
            subject=audit.subject_of(session, SESSION),
            links=audit.links_of(session, SESSION),
            body={"flag": str(row.pk), "comment": said},
        )
    return row


def _require(user: User) -> None:
    if not permissions.has(user, Permission.SESSION_READ_ALL):
        raise FlaggingNotAllowed("Flagging a session is for auditors (session:read-all).")


def _comment(text: str, ask: str) -> str:
    said = text.strip().replace("\0", "")[:LONGEST]
    if not said:
        raise InvalidInput(ask, fields={"comment": ["A comment is needed."]})
    return said

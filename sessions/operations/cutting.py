"""The wish to end live sessions: written down, told to their gateways, and waited for."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.expressions import RawSQL

from jit.audit import operations as audit
from jit.elevation.models import Grant
from jit.elevation.states import EndReason
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput
from sessions import queries, revoke_channel
from sessions.models import AccessSession
from sessions.states import OPEN, SESSION, ClosedBecause

LOOK_EVERY = 0.03


class SessionOver(Conflict):
    """The session has ended already; there is nothing left to cut."""


def cut(*, grants: Sequence[Grant], now: dt.datetime) -> set[UUID]:
    """Ask the gateways of all open sessions of these grants to end them, and wait up to
    SESSION_CUT_WAIT for it; return the ids of grants that have one open still.

    Not inside a transaction: the wish must be seen by the gateways.
    """
    by_grant = {grant.pk: grant for grant in grants}
    with transaction.atomic():
        rows = list(
            AccessSession.objects.filter(
                # One parameter: Django takes longer over a thousand than the database does.
                grant_id__in=RawSQL("SELECT unnest(%s::uuid[])", [list(by_grant)]),
                state__in=OPEN,
            ).values_list("pk", "grant_id")
        )
        if not rows:
            return set()
        for because in (ClosedBecause.EXPIRED, ClosedBecause.REVOKED):
            wanted = [pk for pk, grant_id in rows if _because(by_grant[grant_id]) is because]
            AccessSession.objects.filter(pk__in=wanted, end_asked_at__isnull=True).update(
                end_asked_at=now, end_asked_because=because.value
            )
        revoke_channel.tell_on_commit([pk for pk, _ in rows])
    return _wait(dict(rows))


def terminate(*, session_id: UUID, user: User, comment: str, actor: Actor) -> AccessSession:
    """Ask for the end of one live session; `comment` says why. Its gateway cuts it at once.

    Raises UnknownSession, NotAllowed (who may read all sessions and who may revoke the grant
    may end it, and its own person), InvalidInput for a missing comment, SessionOver.
    """
    session = queries.session_visible_to(user, session_id)
    queries.require_may_terminate(user, session)
    if not comment.strip():
        raise InvalidInput(
            "Say in a sentence why it ends now; it goes on the record.",
            fields={"reason": ["A reason is needed."]},
        )
    with transaction.atomic():
        now = db.now()
        asked = AccessSession.objects.filter(pk=session.pk, state__in=OPEN).update(
            end_asked_at=now,
            end_asked_because=ClosedBecause.TERMINATED.value,
            end_asked_by=user.username,
            end_asked_comment=comment.strip()[:1000],
        )
        if not asked:
            raise SessionOver("This session has ended already.")
        audit.record(
            action="session.terminated",
            actor=actor,
            now=now,
            subject=audit.subject_of(session, SESSION),
            body={"comment": comment.strip()[:1000]},
            links=audit.links_of(session, SESSION),
        )
        revoke_channel.tell_on_commit([session.pk])
    session.refresh_from_db(fields=["state", "end_asked_at", "end_asked_by"])
    return session


def _because(grant: Grant) -> ClosedBecause:
    expired = grant.end_reason in {"", EndReason.EXPIRED.value}
    return ClosedBecause.EXPIRED if expired else ClosedBecause.REVOKED


def _wait(waited_for: dict[UUID, UUID]) -> set[UUID]:
    until = time.monotonic() + settings.SESSION_CUT_WAIT
    while True:
        left = set(
            AccessSession.objects.filter(pk__in=waited_for, state__in=OPEN).values_list(
                "pk", flat=True
            )
        )
        if not left or time.monotonic() >= until:
            return {waited_for[pk] for pk in left}
        time.sleep(LOOK_EVERY)

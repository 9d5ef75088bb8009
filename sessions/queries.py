"""Reads of access sessions; `sessions_visible_to` is the only way to one for a person."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Count, DateTimeField, Exists, Func, Min, OuterRef, Q, QuerySet

from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import EndReason, GrantState
from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.kernel.errors import NotAllowed, NotFound
from jit.workflow import access
from jit.workflow.ports import approvals
from sessions.models import AccessSession, GatewayProcess, SessionFlag, SshKey
from sessions.states import OPEN, ClosedBecause, SessionState


class UnknownSession(NotFound):
    """No such session, or not one that the caller may see."""


def sessions() -> QuerySet[AccessSession]:
    return AccessSession.objects.select_related(
        "user", "role__target", "role__owner_group", "target", "grant__request", "gateway"
    )


def sessions_visible_to(user: User) -> QuerySet[AccessSession]:
    """Return the sessions `user` may see: their own, and all for whoever may read all."""
    if permissions.has(user, Permission.SESSION_READ_ALL):
        return sessions()
    return sessions().filter(user=user)


def session_visible_to(user: User, session_id: UUID) -> AccessSession:
    try:
        return sessions_visible_to(user).get(pk=session_id)
    except AccessSession.DoesNotExist:
        raise UnknownSession("There is no such session that you may see.") from None


def require_may_terminate(user: User, session: AccessSession) -> None:
    """Raise NotAllowed unless `user` may read all sessions or end the session's grant."""
    if permissions.has(user, Permission.SESSION_READ_ALL) or access.may_revoke(user, session.grant):
        return
    raise NotAllowed("Only auditors, and who may revoke the grant, may end this session.")


def filter_sessions(
    rows: QuerySet[AccessSession],
    *,
    user: str = "",
    role: str = "",
    target: str = "",
    ticket: str = "",
    approver: str = "",
    state: str = "",
    kind: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    break_glass: bool | None = None,
    flagged: bool | None = None,
) -> QuerySet[AccessSession]:
    """Narrow the rows; `approver` is the user name of somebody who said yes to the request."""
    exact = {
        "user__username": user,
        "role__slug": role,
        "target__slug": target,
        "grant__request__ticket_key": ticket,
        "state": state,
        "kind": kind,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if approver:
        rows = rows.filter(grant__request_id__in=approvals().decided_by(username=approver))
    if since:
        rows = rows.filter(opened_at__gte=since)
    if until:
        rows = rows.filter(opened_at__lt=until)
    if break_glass is not None:
        rows = rows.filter(grant__request__break_glass=break_glass)
    if flagged is not None:
        open_flags = SessionFlag.objects.filter(session=OuterRef("pk"), settled_at__isnull=True)
        rows = rows.filter(Exists(open_flags) if flagged else ~Exists(open_flags))
    return rows


def sessions_of_grants(grants: Iterable[UUID]) -> QuerySet[AccessSession]:
    return sessions().filter(grant_id__in=grants).order_by("opened_at", "id")


def cut_of(grants: Iterable[UUID]) -> dict[UUID, dict[str, int]]:
    """Return for each of these grants that has sessions: how many ended with it, what was open
    in them until then, and how many are open still.
    """
    rows = AccessSession.objects.filter(grant_id__in=list(grants)).values_list(
        "grant_id", "state", "closed_because", "ended"
    )
    counted: dict[UUID, dict[str, int]] = {}
    for grant_id, state, because, ended in rows:
        names = ("sessions_cut", "forwards_cut", "connections_cut", "sessions_left")
        count = counted.setdefault(grant_id, dict.fromkeys(names, 0))
        count["sessions_left"] += state in OPEN
        if because in {ClosedBecause.EXPIRED, ClosedBecause.REVOKED}:
            count["sessions_cut"] += 1
            count["forwards_cut"] += ended.get("forwards", 0)
            count["connections_cut"] += ended.get("connections", 0)
    return counted


def recorded_sessions_of(grant_id: UUID) -> list[UUID]:
    """Return the ids of the grant's sessions of which there is a recording, the first first."""
    rows = AccessSession.objects.filter(grant_id=grant_id, recording__isnull=False)
    return list(rows.order_by("opened_at", "id").values_list("pk", flat=True))


def sessions_of_request(user: User, request_id: UUID) -> QuerySet[AccessSession]:
    """Return the sessions under one request that `user` may see, the first one first."""
    rows = sessions_visible_to(user).filter(grant__request_id=request_id)
    return rows.order_by("opened_at", "id")


def flags_of(session: AccessSession) -> QuerySet[SessionFlag]:
    return SessionFlag.objects.filter(session=session).select_related("user", "settled_by")


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an open session may go on, until `over_at` by `time.monotonic`, or why not.

    The database's clock counts: its own end is never before that, however slow the answer was.
    """

    over_at: float
    over: bool = False
    because: ClosedBecause = ClosedBecause.REVOKED
    sentence: str = ""


def standings(*, gateway_id: UUID) -> dict[UUID, Standing]:
    """Return the standing of every open session of a gateway, in one statement."""
    asked = time.monotonic()
    rows = (
        AccessSession.objects.filter(gateway_id=gateway_id, state__in=OPEN)
        .select_related("grant", "user")
        .only(
            "end_asked_because",
            "end_asked_by",
            "end_asked_comment",
            "grant__state",
            "grant__end_reason",
            "grant__ends_at",
            "grant__revoke_at",
            "user__is_active",
        )
        .annotate(now=Func(function="clock_timestamp", output_field=DateTimeField()))
    )
    return {row.pk: _standing(row, row.now, asked) for row in rows}


def _standing(row: AccessSession, now: dt.datetime, asked: float) -> Standing:
    over_at = asked + (earliest_end(row.grant) - now).total_seconds()
    if row.end_asked_because:
        because = ClosedBecause(row.end_asked_because)
        said = {
            ClosedBecause.EXPIRED: "Your grant has ended.",
            ClosedBecause.TERMINATED: (
                f"{row.end_asked_by} ended this session: {row.end_asked_comment}"
            ),
        }.get(because, _early(row.grant))
        return Standing(over_at, over=True, because=because, sentence=said)
    if row.grant.state != GrantState.ACTIVE or not row.user.is_active:
        return Standing(over_at, over=True, sentence=_early(row.grant))
    return Standing(over_at)


def _early(grant: Grant) -> str:
    """Return why a grant ended before its time, for whoever worked under it."""
    if grant.end_reason == EndReason.RETURNED:
        return "The grant was given back."
    if grant.end_reason == EndReason.TICKET_CLOSED:
        return "Your grant was taken back: its ticket is closed."
    return "Your grant was taken back."


def earliest_end(grant: Grant) -> dt.datetime:
    """Return when a grant's sessions end: at `revoke_at` where that comes first."""
    assert grant.ends_at is not None  # noqa: S101 -- a database constraint: whoever was active has an end
    return min(grant.ends_at, grant.revoke_at or grant.ends_at)


def usable_grant(*, user: User, wanted: str, kind: str) -> Grant | None:
    """Return the grant of `user` that `wanted` names on a target of `kind`: by its name on the
    target (`jit_…`), its id, or its role's slug. One in use comes before one that is over, and
    of those the newest.
    """
    named = Q(external_name=wanted[:63]) | Q(role__slug=wanted[:100])
    with suppress(ValueError):
        named |= Q(pk=UUID(wanted))
    rows = elevation.grants().filter(named, user=user, target__kind=kind).order_by("-created_at")
    return rows.filter(state=GrantState.ACTIVE).first() or rows.first()


def grant_named(external_name: str) -> Grant | None:
    """Return the grant with this name on its target, whoever's and however it is, or None."""
    return elevation.grants().filter(external_name=external_name).first()


def owner_of_key(fingerprint: str) -> SshKey | None:
    """Return the registered key with this fingerprint (`SHA256:…`), its owner active, or None."""
    return (
        SshKey.objects.select_related("user")
        .filter(fingerprint=fingerprint, removed_at__isnull=True, user__is_active=True)
        .first()
    )


def keys_of(user: User) -> QuerySet[SshKey]:
    return SshKey.objects.filter(user=user, removed_at__isnull=True)


def unsealed() -> tuple[int, dt.datetime | None]:
    """Return how many closed sessions wait for their seal, and when the first of them closed."""
    waiting = AccessSession.objects.filter(state=SessionState.CLOSED)
    found = waiting.aggregate(count=Count("pk"), first=Min("closed_at"))
    return found["count"], found["first"]


def running_gateways() -> set[str]:
    """Return the kinds of gateway of which one runs: registered, not over, and seen lately."""
    seen = db.now() - dt.timedelta(seconds=settings.GATEWAY_LOST_AFTER)
    running = GatewayProcess.objects.filter(ended_at__isnull=True, seen_at__gte=seen)
    return set(running.values_list("kind", flat=True))

"""Reads of requests and grants; `visible_to` is the only way to an object for a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from jit.elevation.models import AfterReview, ElevationRequest, Grant, Heartbeat, Orphan
from jit.elevation.states import LIVE, GrantState, RequestState, ReviewState
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import backends
from jit.kernel.errors import NotFound


class UnknownRequest(NotFound):
    """No such request, or not one that the caller may see."""


class UnknownGrant(NotFound):
    """No such grant, or not one that the caller may see."""


class UnknownReview(NotFound):
    """No such review, or not one that the caller may see."""


def expressions_of(user: User) -> list[str]:
    """Return the resolved approver expressions that mean `user`: itself and its groups."""
    return [
        f"user:{user.username}",
        *(f"group:{slug}" for slug in sorted(identity.groups_of(user))),
    ]


def _lent_to(user: User) -> list[str]:
    lent: list[str] = backends.from_setting("APPROVALS_BACKEND").lent_to(user)
    return lent


def requests() -> QuerySet[ElevationRequest]:
    return ElevationRequest.objects.select_related(
        "requester", "role__target", "role__owner_group", "grant", "extends"
    )


def requests_visible_to(user: User) -> QuerySet[ElevationRequest]:
    """Return the requests `user` may see: their own, those they may answer (for themselves or
    for whom they stand in for now), those of roles they own, and all for whoever may read all.
    """
    if permissions.has(user, Permission.REQUEST_READ_ALL):
        return requests()
    return requests().filter(
        Q(requester=user)
        | Q(approvers__has_any_keys=[*expressions_of(user), *_lent_to(user)])
        | Q(role__owner_group__slug__in=identity.groups_of(user))
    )


def request_visible_to(user: User, request_id: UUID) -> ElevationRequest:
    try:
        return requests_visible_to(user).get(pk=request_id)
    except ElevationRequest.DoesNotExist:
        raise UnknownRequest("There is no such request that you may see.") from None


def filter_requests(
    rows: QuerySet[ElevationRequest],
    *,
    state: str = "",
    requester: str = "",
    role: str = "",
    ticket: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> QuerySet[ElevationRequest]:
    exact = {"state": state, "requester__username": requester, "role__slug": role}
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if ticket:
        rows = rows.filter(ticket_key=ticket)
    if since:
        rows = rows.filter(created_at__gte=since)
    if until:
        rows = rows.filter(created_at__lt=until)
    return rows


def lock_request(request_id: UUID) -> ElevationRequest:
    """Return the request, locked until the transaction ends. Lock order: request, then grant."""
    try:
        return (
            ElevationRequest.objects.select_related(
                "requester", "role__target", "role__owner_group"
            )
            .select_for_update(of=("self",))
            .get(pk=request_id)
        )
    except ElevationRequest.DoesNotExist:
        raise UnknownRequest("There is no such request.") from None


def by_idempotency_key(requester: User, key: str) -> ElevationRequest | None:
    return requests().filter(requester=requester, idempotency_key=key).first() if key else None


def scheduled_grant(requester: User, role_id: UUID) -> UUID | None:
    """Return the grant of this person and role that has not begun, if any."""
    rows = Grant.objects.filter(user=requester, role_id=role_id, state=GrantState.SCHEDULED)
    return rows.values_list("pk", flat=True).first()


def in_the_way(
    requester: User, role_id: UUID, *, begun: bool = False
) -> ElevationRequest | Grant | None:
    """Return what makes a second request for the same role a duplicate: a live grant (where
    `begun`: one that is not only scheduled) or a pending request of this person.
    """
    grants = Grant.objects.filter(user=requester, role_id=role_id, state__in=LIVE)
    grants = grants.exclude(state=GrantState.SCHEDULED) if begun else grants
    asked = ElevationRequest.objects.filter(
        requester=requester, role_id=role_id, state=RequestState.PENDING
    )
    # Nearly always there is nothing: one statement says so.
    if not grants.order_by().values("pk").union(asked.order_by().values("pk")).exists():
        return None
    return grants.first() or asked.first()


def lapsed(now: dt.datetime, limit: int = 200) -> list[UUID]:
    """Return pending requests to close: unanswered past their time, or extensions of a grant
    that has ended meanwhile.
    """
    return list(
        ElevationRequest.objects.filter(state=RequestState.PENDING)
        .filter(
            Q(lapses_at__lte=now)
            | (Q(extends__isnull=False) & ~Q(extends__state=GrantState.ACTIVE))
        )
        .order_by("lapses_at")
        .values_list("pk", flat=True)[:limit]
    )


def pending_for(requester: User, role_id: UUID) -> UUID | None:
    """Return this person's pending request for the role; the database lets there be but one."""
    waiting = ElevationRequest.objects.filter(
        requester=requester, role_id=role_id, state=RequestState.PENDING
    )
    return waiting.values_list("pk", flat=True).first()


def pending_of(user: User) -> list[UUID]:
    return list(
        ElevationRequest.objects.filter(requester=user, state=RequestState.PENDING).values_list(
            "pk", flat=True
        )
    )


def extensions_due() -> list[UUID]:
    """Return approved extensions that have not reached their grant yet."""
    return list(
        ElevationRequest.objects.filter(
            state=RequestState.APPROVED, extends__isnull=False, extension_applied_at__isnull=True
        ).values_list("pk", flat=True)[:200]
    )


def extensions_of(grant: Grant) -> QuerySet[ElevationRequest]:
    """Return the requests to make this grant longer, the oldest first."""
    return ElevationRequest.objects.filter(extends=grant).order_by("created_at", "id")


def stored_ruling(request_id: UUID) -> dict[str, Any]:
    """Return the ruling as it was stored with the request. Raises UnknownRequest."""
    ruling: dict[str, Any] | None = (
        ElevationRequest.objects.filter(pk=request_id).values_list("ruling", flat=True).first()
    )
    if not ruling:
        raise UnknownRequest("There is no request with that id that was ruled on.")
    return ruling


def rulings_since(since: dt.datetime) -> Iterable[tuple[UUID, dict[str, Any]]]:
    """Return (request id, stored ruling) of all requests made since, oldest first."""
    return (
        ElevationRequest.objects.filter(created_at__gte=since)
        .order_by("created_at")
        .values_list("pk", "ruling")
        .iterator(chunk_size=1000)
    )


def recent_of(requester: User, limit: int) -> QuerySet[ElevationRequest]:
    """Return the person's last requests, newest first."""
    return requests().filter(requester=requester).order_by("-created_at", "-id")[:limit]


def requested_before(row: ElevationRequest, limit: int = 5) -> QuerySet[ElevationRequest]:
    """Return what its requester asked for last before this one, for an approver to judge by."""
    own = requests().filter(requester=row.requester, created_at__lte=row.created_at)
    return own.exclude(pk=row.pk).order_by("-created_at", "-id")[:limit]


# --- Grants ---------------------------------------------------------------------------


def grants() -> QuerySet[Grant]:
    return Grant.objects.select_related(
        "user", "role__target", "role__owner_group", "target", "request"
    )


def grants_visible_to(user: User) -> QuerySet[Grant]:
    """Return the grants `user` may see, by the same rule as their requests."""
    if permissions.has(user, Permission.GRANT_READ_ALL):
        return grants()
    return grants().filter(
        Q(user=user)
        | Q(request__approvers__has_any_keys=expressions_of(user))
        | Q(role__owner_group__slug__in=identity.groups_of(user))
    )


def grant_visible_to(user: User, grant_id: UUID) -> Grant:
    try:
        return grants_visible_to(user).get(pk=grant_id)
    except Grant.DoesNotExist:
        raise UnknownGrant("There is no such grant that you may see.") from None


def filter_grants(
    rows: QuerySet[Grant],
    *,
    state: str = "",
    role: str = "",
    requester: str = "",
    target: str = "",
) -> QuerySet[Grant]:
    exact = {
        "state": state,
        "role__slug": role,
        "user__username": requester,
        "target__slug": target,
    }
    return rows.filter(**{name: value for name, value in exact.items() if value})


def live_grants_of(user: User) -> QuerySet[Grant]:
    return (
        grants()
        .filter(user=user, state__in=[*LIVE, GrantState.REVOKING])
        .order_by("ends_at", "created_at")
    )


def lock_grant(grant_id: UUID) -> Grant:
    """Return the grant, locked until the transaction ends."""
    try:
        return (
            Grant.objects.select_related(
                "user", "role__target", "role__owner_group", "target", "request"
            )
            .select_for_update(of=("self",))
            .get(pk=grant_id)
        )
    except Grant.DoesNotExist:
        raise UnknownGrant("There is no such grant.") from None


def stuck(now: dt.datetime, after_seconds: int) -> QuerySet[Grant]:
    """Return grants whose revocation has not been proven for too long, longest first."""
    return (
        grants()
        .filter(
            state=GrantState.REVOKING,
            revoking_since__lte=now - dt.timedelta(seconds=after_seconds),
        )
        .order_by("revoking_since")
    )


def active_grant(*, user: User, role_slug: str) -> Grant | None:
    """Return the grant by which `user` is elevated to the role now, if any."""
    return grants().filter(user=user, role__slug=role_slug, state=GrantState.ACTIVE).first()


def open_orphans() -> QuerySet[Orphan]:
    return Orphan.objects.filter(resolved_at__isnull=True).select_related("target")


# --- After-reviews ---------------------------------------------------------------------


def reviews() -> QuerySet[AfterReview]:
    return AfterReview.objects.select_related(
        "request__requester", "request__role__target", "request__role__owner_group", "reviewer"
    )


def reviews_visible_to(user: User) -> QuerySet[AfterReview]:
    if permissions.has(user, Permission.REVIEW_READ_ALL):
        return reviews()
    return reviews().filter(
        Q(request__requester=user)
        | Q(request__approvers__has_any_keys=expressions_of(user))
        | Q(request__role__owner_group__slug__in=identity.groups_of(user))
    )


def review_visible_to(user: User, review_id: UUID) -> AfterReview:
    try:
        return reviews_visible_to(user).get(pk=review_id)
    except AfterReview.DoesNotExist:
        raise UnknownReview("There is no such review that you may see.") from None


def overdue_review_of(user: User, now: dt.datetime) -> AfterReview | None:
    """Return a review that this person's last break-glass still owes, past its deadline."""
    return (
        reviews()
        .filter(
            request__requester__person_id=user.person_id,
            request__break_glass=True,
            state=ReviewState.OPEN,
            due_at__lte=now,
        )
        .first()
    )


def reviews_to_escalate(now: dt.datetime) -> list[AfterReview]:
    return list(
        reviews().filter(state=ReviewState.OPEN, due_at__lte=now, escalated_at__isnull=True)[:100]
    )


def last_heartbeat(work: str) -> dt.datetime | None:
    """Return when this work of the clock was last done whole; None if it never was."""
    return Heartbeat.objects.filter(work=work).values_list("at", flat=True).first()

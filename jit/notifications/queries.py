"""Reads of the outbox: one's inbox and choices, what became of a message, the endpoints."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, Q, QuerySet

from jit.audit.operations import Subject
from jit.identity.models import User
from jit.kernel.errors import NotFound
from jit.notifications import kinds, wording
from jit.notifications.channels import base
from jit.notifications.kinds import CHOOSABLE, IN_APP, Kind
from jit.notifications.models import Notification, Outcome, Preference, WebhookEndpoint


class UnknownEndpoint(NotFound):
    """No such endpoint."""


def inbox_of(user: User, *, unread: bool = False) -> QuerySet[Notification]:
    """Return the person's own notifications, newest first."""
    rows = Notification.objects.filter(recipient=user, channel=IN_APP)
    rows = rows.filter(read_at__isnull=True) if unread else rows
    return rows.order_by("-created_at", "-id")


def unread_count(user: User) -> int:
    return inbox_of(user, unread=True).count()


def unread_counts(user: User, *, besides: Iterable[Kind]) -> tuple[int, int]:
    """Return how many the person has not read, and how many of them are not of the kinds
    `besides`.
    """
    found = inbox_of(user, unread=True).aggregate(
        all=Count("id"), others=Count("id", filter=~Q(kind__in=list(besides)))
    )
    return found["all"], found["others"]


def words_of(row: Notification, reader: User) -> wording.Words:
    """Return what the notification says to `reader`, in their time zone."""
    to = wording.Reader(reader.username, reader.timezone)
    return wording.words(Kind(row.kind), row.payload, to)


@dataclass(frozen=True, slots=True)
class Choice:
    """One kind and where the person hears of it: `{channel: wanted}`."""

    kind: Kind
    description: str
    wanted: dict[str, bool]


def preferences_of(user: User) -> list[Choice]:
    """Return what the person hears of and where, their own choices over the defaults."""
    rows = Preference.objects.filter(user=user).values_list("kind", "channel", "wanted")
    chosen = {(kind, channel): wanted for kind, channel, wanted in rows}
    return [
        Choice(
            kind=kind,
            description=kinds.DESCRIPTIONS[kind],
            wanted={
                name: name == IN_APP
                or chosen.get((kind.value, name), kinds.sent_by_default(kind, name))
                for name in base.personal()
            },
        )
        for kind in CHOOSABLE
    ]


def muted(people: Iterable[UUID], *, kind: Kind, channel: str) -> set[UUID]:
    """Return those of these people who chose not to hear of `kind` through `channel`."""
    rows = Preference.objects.filter(user__in=people, kind=kind, channel=channel, wanted=False)
    return set(rows.values_list("user_id", flat=True))


def deliveries_of(subject: Subject) -> QuerySet[Notification]:
    """Return every message about the subject, oldest first, whoever it went to."""
    return (
        Notification.objects.filter(subject_type=subject.type, subject_id=subject.id)
        .select_related("recipient", "endpoint")
        .order_by("created_at", "kind", "recipient__username", "channel", "id")
    )


def told_of_step(request_id: UUID, position: int, told: Iterable[Kind]) -> set[UUID]:
    """Return who was told one of these kinds about this step of the request."""
    rows = Notification.objects.filter(
        subject_type="request",
        subject_id=str(request_id),
        channel=IN_APP,
        kind__in=list(told),
        payload__position=position,
    )
    return {pk for pk in rows.values_list("recipient_id", flat=True) if pk is not None}


def was_told(user: User, request_id: UUID, told: Iterable[Kind]) -> bool:
    """Return whether this person was told one of these kinds about the request."""
    return Notification.objects.filter(
        subject_type="request",
        subject_id=str(request_id),
        channel=IN_APP,
        recipient=user,
        kind__in=list(told),
    ).exists()


def deliveries_of_request(request_id: UUID) -> QuerySet[Notification]:
    """Return every message about a request and its grant, oldest first."""
    return deliveries_of(Subject(type="request", id=str(request_id), label=""))


# --- Endpoints, and how the lanes fare ---------------------------------------------------


def endpoints() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints that were not removed; for those who manage webhooks."""
    return WebhookEndpoint.objects.filter(removed_at__isnull=True).order_by("name", "id")


def endpoint(pk: UUID) -> WebhookEndpoint:
    try:
        return endpoints().get(pk=pk)
    except WebhookEndpoint.DoesNotExist:
        raise UnknownEndpoint("There is no such webhook endpoint.") from None


def deliveries_to(row: WebhookEndpoint) -> QuerySet[Notification]:
    """Return what was sent, or is to be sent, to an endpoint, newest first."""
    return Notification.objects.filter(endpoint=row).order_by("-created_at", "-id")


def lanes(now: dt.datetime) -> list[dict[str, Any]]:
    """Return, for each lane in which something waits: `lane`, `waiting`, `failing` (tried in
    vain at least once) and `oldest_seconds`.
    """
    rows = (
        Notification.objects.filter(outcome=Outcome.WAITING)
        .values("lane")
        .annotate(
            waiting=Count("id"),
            failing=Count("id", filter=Q(tries__gt=0) & ~Q(reason="")),
            oldest=Min("created_at"),
        )
        .order_by("lane")
    )
    return [
        {
            "lane": row["lane"],
            "waiting": row["waiting"],
            "failing": row["failing"],
            "oldest_seconds": (now - row["oldest"]).total_seconds(),
        }
        for row in rows
    ]


def failing(limit: int = 50) -> QuerySet[Notification]:
    """Return what waits although it was tried, the most tried first."""
    return (
        Notification.objects.filter(outcome=Outcome.WAITING, tries__gt=0)
        .exclude(reason="")
        .select_related("recipient", "endpoint")
        .order_by(F("tries").desc(), "created_at")[:limit]
    )

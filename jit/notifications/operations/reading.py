"""What a person does with their own notifications: read them, choose what comes where."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from jit.audit.operations import Subject
from jit.identity.models import User
from jit.kernel.errors import InvalidInput
from jit.notifications.channels import base
from jit.notifications.kinds import CHOOSABLE, IN_APP, Kind
from jit.notifications.models import Notification, Preference


class UnknownPreference(InvalidInput):
    """A kind or channel of notifications that this installation does not have."""

    status = 422


def mark_read(*, user: User, ids: Sequence[UUID] | None, now: dt.datetime) -> int:
    """Mark these of the person's notifications as read (all of them, for None); return how
    many were unread. Those of others are never touched.
    """
    mine = Notification.objects.filter(recipient=user, channel=IN_APP, read_at__isnull=True)
    if ids is not None:
        mine = mine.filter(pk__in=ids)
    return mine.update(read_at=now)


def settle(
    *, subject: Subject, kinds: Sequence[Kind], now: dt.datetime, user: User | None = None
) -> int:
    """Mark what was told of the subject in these kinds as read, for everybody or for `user`
    alone: what it asked for is done. Return how many were unread.
    """
    rows = Notification.objects.filter(
        channel=IN_APP,
        read_at__isnull=True,
        subject_type=subject.type,
        subject_id=subject.id,
        kind__in=list(kinds),
    )
    return (rows.filter(recipient=user) if user else rows).update(read_at=now)


def mark_read_about(*, user: User, subject: Subject, now: dt.datetime) -> int:
    """Mark all that the person was told of the subject as read: they look at it."""
    return settle(subject=subject, kinds=tuple(Kind), now=now, user=user)


def set_preferences(*, user: User, wanted: Mapping[str, Mapping[str, bool]]) -> None:
    """Keep what the person chose, as `{kind: {channel: wanted}}`; what is not named stays.

    Raises UnknownPreference for a kind or channel that does not exist, InvalidInput for turning
    off the inbox, which is where everything can be found.
    """
    kinds = {kind.value for kind in CHOOSABLE}
    channels = set(base.personal())
    for kind, by_channel in wanted.items():
        if kind not in kinds:
            raise UnknownPreference(
                f"There is no kind `{kind[:40]}`.", fields={"kinds": ["Unknown."]}
            )
        for channel, value in by_channel.items():
            if channel not in channels:
                raise UnknownPreference(
                    f"There is no channel `{channel[:40]}` here.", fields={"channels": ["Unknown."]}
                )
            if channel == IN_APP and not value:
                raise InvalidInput(
                    "The inbox can't be turned off: it is where everything can be found.",
                    fields={"in_app": ["Always on."]},
                )
    rows = [
        Preference(user=user, kind=kind, channel=channel, wanted=value)
        for kind, by_channel in wanted.items()
        for channel, value in by_channel.items()
        if channel != IN_APP
    ]
    with transaction.atomic():
        Preference.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["user", "kind", "channel"],
            update_fields=["wanted"],
        )

"""Which grants are due to end, now and soon."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from django.db.models import Count, Q

from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.kernel import db

PROMPTLY = dt.timedelta(milliseconds=5)
"""How much later than the end a prompt task comes: the worker's clock may be a little ahead."""


def overdue(by: dt.timedelta) -> bool:
    """Return whether anything has been due for so long without anybody working on it."""
    return Grant.objects.filter(at(db.now() - by)).exists()


def in_hand() -> bool:
    """Return whether somebody is at work on a revocation at this moment."""
    return Grant.objects.filter(state=GrantState.REVOKING, lease_until__gt=db.now()).exists()


def at(now: dt.datetime) -> Q:
    """Return what is to be revoked at `now` and is not in somebody's hands."""
    return (
        Q(state=GrantState.ACTIVE, ends_at__lte=now)
        | Q(state=GrantState.ACTIVE, revoke_at__lte=now)
        | Q(state=GrantState.ACTIVATING, ends_at__lte=now)
        | Q(state=GrantState.REVOKING, next_try_at__lte=now)
    ) & (Q(lease_until__isnull=True) | Q(lease_until__lte=now))


def ending_soon(now: dt.datetime, within: dt.timedelta) -> list[tuple[dt.datetime, int]]:
    """Return the moments at which active grants end soon, the last one of each tenth of a second
    (and a moment more), each with how many grants end in that tenth.
    """
    last: dict[int, dt.datetime] = {}
    count: Counter[int] = Counter()
    for field in ("ends_at", "revoke_at"):
        ends = (
            Grant.objects.filter(
                state=GrantState.ACTIVE,
                **{f"{field}__gt": now, f"{field}__lte": now + within},
            )
            .values_list(field)
            .annotate(Count("pk"))
            .order_by(field)[:5000]
        )
        for end, grants in ends:
            tenth = int(end.timestamp() * 10)
            last[tenth] = max(end, last.get(tenth, end))
            count[tenth] += grants
    return [(last[tenth] + PROMPTLY, count[tenth]) for tenth in sorted(last)]

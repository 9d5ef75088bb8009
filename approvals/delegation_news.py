"""Who is told of a delegation: the delegate of the offer; both, and the owners of the roles that
are decided on, of its beginning and its end. In the transaction of what is told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from approvals.models import Delegation
from jit.audit.operations import Subject
from jit.catalog.models import Role
from jit.identity import queries as identity
from jit.identity.models import User
from jit.notifications import operations as notifications
from jit.notifications import queries as notified
from jit.notifications.kinds import IN_APP, Kind

NAMED = 5
"""Roles that a notification names; of more it says how many."""
_OFFER = (Kind.DELEGATION_OFFERED,)


def offered(row: Delegation, *, roles: Sequence[Role], now: dt.datetime) -> None:
    """Tell the delegate what they are asked for, until its time is over."""
    _tell(Kind.DELEGATION_OFFERED, row, [row.delegate], roles=roles, now=now, until=row.ends_at)


def accepted(row: Delegation, *, roles: Sequence[Role], now: dt.datetime) -> None:
    _tell(
        Kind.DELEGATION_ACCEPTED,
        row,
        [row.delegator, *_owners(roles)],
        roles=roles,
        now=now,
        overtakes=_OFFER,
    )


def ended(row: Delegation, *, by: User | None, now: dt.datetime) -> None:
    """Tell the two, but not `by` who ended it (None: its time is over), and whoever was told
    that it began.
    """
    told = notified.deliveries_of(_subject(row)).filter(
        channel=IN_APP, kind=Kind.DELEGATION_ACCEPTED.value
    )
    people = [row.delegator, row.delegate, *(one.recipient for one in told if one.recipient)]
    if by is None:
        why = "expired"
    elif by.pk == row.delegator_id:
        why = "withdrawn"
    else:
        why = "given-up" if row.accepted_at else "declined"
    _tell(
        Kind.DELEGATION_ENDED,
        row,
        [one for one in people if by is None or one.pk != by.pk],
        now=now,
        overtakes=(*_OFFER, Kind.DELEGATION_ACCEPTED),
        why=why,
        by=by.username if by else "",
        accepted=row.accepted_at is not None,
    )


def _owners(roles: Iterable[Role]) -> list[User]:
    return list(identity.members_of_any(frozenset(role.owner_group.slug for role in roles)))


def _subject(row: Delegation) -> Subject:
    return Subject(type="delegation", id=str(row.pk), label=str(row))


def _tell(
    kind: Kind,
    row: Delegation,
    people: Iterable[User],
    *,
    now: dt.datetime,
    roles: Sequence[Role] = (),
    until: dt.datetime | None = None,
    overtakes: tuple[Kind, ...] = (),
    **more: Any,
) -> None:
    names = ", ".join(role.slug for role in roles[:NAMED])
    notifications.notify(
        kind=kind,
        recipients=people,
        subject=_subject(row),
        payload={
            "delegation": row.pk,
            "delegator": row.delegator.username,
            "delegate": row.delegate.username,
            "until": row.ends_at,
            "roles": names + (f" and {len(roles) - NAMED} more" if len(roles) > NAMED else ""),
            **more,
        },
        key=f"{kind}:{row.pk}",
        now=now,
        useful_until=until,
        overtakes=overtakes,
    )

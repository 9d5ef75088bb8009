"""The operators' board: what lives, what ends soon, what is stuck, and what nobody granted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import QuerySet

from jit.elevation import queries
from jit.elevation.models import Grant
from jit.elevation.states import LIVE, GrantState
from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission

SOON = dt.timedelta(minutes=10)
MOST_SHOWN = 200
HISTORY = 20


@dataclass(frozen=True, slots=True)
class Filters:
    """What the board is narrowed to; empty means everything one may see."""

    requester: str = ""
    target: str = ""
    role: str = ""

    @classmethod
    def from_query(cls, given: Mapping[str, Any]) -> Filters:
        return cls(
            **{
                name: str(given.get(name, "")).strip().replace("\0", "")[:100]
                for name in ("requester", "target", "role")
            }
        )

    def as_query(self) -> str:
        named = {"requester": self.requester, "target": self.target, "role": self.role}
        return urlencode({name: value for name, value in named.items() if value})

    def __bool__(self) -> bool:
        return bool(self.as_query())


@dataclass(frozen=True, slots=True)
class Board:
    """The board's parts. `may_see_orphans` tells "none" from "not yours to see"."""

    stuck: list[Grant]
    soon: list[Grant]
    others: list[Grant]
    ended: list[Grant]
    orphans: list[Any]
    may_see_orphans: bool
    may_revoke: bool
    more: bool

    @property
    def live_count(self) -> int:
        return len(self.stuck) + len(self.soon) + len(self.others)


def _narrowed(user: User, filters: Filters) -> QuerySet[Grant]:
    return queries.filter_grants(
        queries.grants_visible_to(user),
        requester=filters.requester,
        target=filters.target,
        role=filters.role,
    )


def live(*, user: User, filters: Filters) -> list[Grant]:
    """Return the grants of the filter that could still be ended."""
    return list(_narrowed(user, filters).filter(state__in=LIVE)[:MOST_SHOWN])


def board(*, user: User, filters: Filters, now: dt.datetime) -> Board:
    """Return what `user` may see of the board, in five statements or fewer."""
    rows = _narrowed(user, filters)
    living = list(
        rows.filter(state__in=[*LIVE, GrantState.REVOKING]).order_by("ends_at", "created_at")[
            : MOST_SHOWN + 1
        ]
    )
    stuck = [grant for grant in living if is_stuck(grant, now)]
    known = {grant.pk for grant in stuck}
    rest = [grant for grant in living[:MOST_SHOWN] if grant.pk not in known]
    soon = [grant for grant in rest if grant.ends_at and grant.ends_at - now <= SOON]
    soon_keys = {grant.pk for grant in soon}
    operator = permissions.has(user, Permission.GRANT_READ_ALL)
    return Board(
        stuck=sorted(stuck, key=lambda grant: grant.revoking_since or now),
        soon=soon,
        others=[grant for grant in rest if grant.pk not in soon_keys],
        ended=list(rows.filter(state__in=[GrantState.ENDED, GrantState.WITHDRAWN])[:HISTORY]),
        orphans=list(queries.open_orphans()) if operator else [],
        may_see_orphans=operator,
        may_revoke=permissions.has(user, Permission.GRANT_REVOKE),
        more=len(living) > MOST_SHOWN,
    )


def is_stuck(grant: Grant, now: dt.datetime) -> bool:
    """Return whether the grant's revocation has gone unproven for longer than promised."""
    return (
        grant.state == GrantState.REVOKING
        and grant.revoking_since is not None
        and now - grant.revoking_since >= dt.timedelta(seconds=settings.STUCK_AFTER)
    )

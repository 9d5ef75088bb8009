"""Words that were typed or shown, in sessions that match; each look for them is on the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jit.identity.models import User
from jit.kernel.actor import Actor
from sessions import queries
from sessions.models import AccessSession
from sessions.operations import viewing
from sessions.recording import queries as text
from sessions.recording.queries import Hit

GATHERED = 500
"""The newest hits that are looked at; where fewer are left by the other filters, so few show."""
MOST_OF_ONE = 10


@dataclass(frozen=True, slots=True)
class Found:
    """One session with its first hits, oldest first; `more` counts the others."""

    session: AccessSession
    hits: list[Hit] = field(default_factory=list)
    more: int = 0


def find(
    *, user: User, q: str, narrowing: Mapping[str, Any], most: int, actor: Actor
) -> list[Found]:
    """Return at most `most` sessions with a line or command that holds `q`, the newest first;
    `narrowing` is as for `queries.filter_sessions`. Raises SearchTooShort and SearchTooBroad.
    """
    hits = text.search(
        user,
        q,
        text.Filters(
            user=narrowing.get("user", ""),
            role=narrowing.get("role", ""),
            target=narrowing.get("target", ""),
            since=narrowing.get("since"),
            until=narrowing.get("until"),
        ),
        most=GATHERED,
    )
    by_session: dict[Any, list[Hit]] = {}
    for hit in hits:
        by_session.setdefault(hit.session.pk, []).append(hit)
    rows = queries.filter_sessions(queries.sessions_visible_to(user), **narrowing)
    rows = rows.filter(pk__in=by_session).order_by("-opened_at", "-id")[:most]
    found = []
    for row in rows:
        mine = sorted(by_session[row.pk], key=lambda hit: hit.at_ms)
        found.append(Found(row, mine[:MOST_OF_ONE], max(len(mine) - MOST_OF_ONE, 0)))
    shown = sum(len(one.hits) for one in found)
    viewing.searched(user=user, q=q, hits=shown, actor=actor)
    return found

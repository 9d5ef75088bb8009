"""How a role is written: directly since PostgreSQL 16, through our definer functions before.

Up to 15 CREATEROLE is close to superuser (it can grant itself `pg_execute_server_program`), so
there the service account has none of it and may only call functions that keep an allow-list.

Whoever gives a role holds the row of its name in jit.tombstone until the commit; whoever ends one
writes that row for good, and so waits for the former and shuts out the next. Only our account can
reach that table: no lock that a login of the target can take stands in the way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jit.connectors.postgresql.look import Found
from jit.connectors.postgresql.wire import Wire

SINCE_DIRECT = 160000


@dataclass(frozen=True, slots=True)
class Draft:
    """A role to be written."""

    name: str
    verifier: str
    deadline: dt.datetime
    member_of: str
    comment: str
    connection_limit: int


class Means(Protocol):
    """The writes. `write` and `extend` run between `begin` and `commit`; each of the others is a
    transaction of its own. None waits longer than `lock_seconds` for a lock: then it raises Busy.
    """

    label: str
    sets_role_at_login: bool

    def begin(self, wire: Wire, name: str, *, lock_seconds: float) -> Mapping[str, Any]:
        """Begin to give `name` and return how things stand (look.one_role)."""

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None: ...
    def extend(self, wire: Wire, found: Found, deadline: dt.datetime) -> None: ...
    def commit(self, wire: Wire, name: str) -> None: ...

    def suspend(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        """Let nobody log in as the role; all else of it stays, so that it can be undone."""

    def bury(self, wire: Wire, names: Sequence[str], *, lock_seconds: float) -> None:
        """Leave a tombstone for each: whoever is giving one of them is waited for, and nobody
        gives it afterwards.
        """

    def neutralise(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None:
        """Take away log-in, password and time."""

    def withdraw(
        self,
        wire: Wire,
        names: Sequence[str],
        members: Mapping[str, Collection[str]],
        *,
        lock_seconds: float,
    ) -> None:
        """Take away memberships of `names`: `members` has those of each role that we gave."""

    def adopt(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        """Let our account act for the role, which REASSIGN OWNED asks for."""

    def disown(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        """Undo `adopt`: what others gave the role must not become our account's."""

    def release(self, wire: Wire, name: str, escrow: str, *, lock_seconds: float) -> None:
        """Hand what the role owns in this database to `escrow`, and take away its rights."""

    def drop(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None: ...

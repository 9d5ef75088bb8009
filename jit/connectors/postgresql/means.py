"""How a role is written: directly since PostgreSQL 16, through our definer functions before.

Up to 15 CREATEROLE is close to superuser (it can grant itself `pg_execute_server_program`), so
there the service account has none of it and may only call functions that keep an allow-list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

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
    """The writes. `write`, `extend` and `neutralise` run inside a transaction that the caller
    begins and commits; the others are transactions of their own.
    """

    label: str
    sets_role_at_login: bool

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None: ...
    def extend(self, wire: Wire, found: Found, deadline: dt.datetime) -> None: ...
    def is_revoked(self, wire: Wire, name: str) -> bool: ...
    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[Found],
        members: Mapping[str, Collection[str]],
    ) -> None:
        """Take away log-in, password, time and memberships (`members` of each role) of those
        that are `there`, and leave a tombstone for all that were `asked` for.
        """

    def adopt(self, wire: Wire, found: Found) -> None:
        """Let our account act for the role, which REASSIGN OWNED asks for."""

    def disown(self, wire: Wire, found: Found) -> None:
        """Undo `adopt`: what others gave the role must not become our account's."""

    def release(self, wire: Wire, name: str, escrow: str) -> None:
        """Hand what the role owns in this database to `escrow`, and take away its rights."""

    def drop(self, wire: Wire, roles: Sequence[Found]) -> None: ...

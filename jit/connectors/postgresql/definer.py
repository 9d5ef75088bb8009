"""PostgreSQL up to 15: roles written by the functions of sql/postgresql_15_definer.sql."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from psycopg import sql

from jit.connectors.postgresql.look import Found, one_role
from jit.connectors.postgresql.means import Draft
from jit.connectors.postgresql.wire import Wire

_APART = "SELECT to_regprocedure('jit.bury(text[])') IS NOT NULL AS apart"


class Definer:
    """Calls; whatever they must know they look up themselves, and they keep the allow-list.

    Functions of an older script do all of `bury`, `neutralise` and `withdraw` in the one call of
    `neutralise`: there what hinders one hinders the others.
    """

    label = "definer"
    sets_role_at_login = False

    def __init__(self) -> None:
        self._has_apart: bool | None = None

    def begin(self, wire: Wire, name: str, *, lock_seconds: float) -> Mapping[str, Any]:
        return wire.begin("begin", one_role(name), lock_seconds=lock_seconds)[0]

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None:  # noqa: ARG002 -- see above
        wire.ask(
            "write role",
            "SELECT jit.provision(%s, %s, %s, %s, %s, %s)",
            [
                draft.name,
                draft.verifier,
                draft.deadline,
                draft.member_of,
                draft.comment,
                draft.connection_limit,
            ],
        )

    def extend(self, wire: Wire, found: Found, deadline: dt.datetime) -> None:
        wire.ask("move deadline", "SELECT jit.extend(%s, %s)", [found.name, deadline])

    def commit(self, wire: Wire, name: str) -> None:  # noqa: ARG002 -- the functions let go
        wire.commit("commit")

    def bury(self, wire: Wire, names: Sequence[str], *, lock_seconds: float) -> None:
        if self.ends_apart(wire):
            self._call(wire, "bury", "bury", names, lock_seconds=lock_seconds)

    def suspend(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        self._call(wire, "suspend", "suspend", [found.name], lock_seconds=lock_seconds)

    def neutralise(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None:
        names = [role.name for role in roles]
        self._call(wire, "neutralise", "neutralise", names, lock_seconds=lock_seconds)

    def withdraw(
        self,
        wire: Wire,
        names: Sequence[str],
        members: Mapping[str, Collection[str]],  # noqa: ARG002 -- see above
        *,
        lock_seconds: float,
    ) -> None:
        if self.ends_apart(wire):
            self._call(wire, "withdraw", "withdraw", names, lock_seconds=lock_seconds)

    def adopt(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        """Nothing to do: `jit.release_owned` adopts, and disowns."""

    def disown(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        """Nothing to do, as above."""

    def release(self, wire: Wire, name: str, escrow: str, *, lock_seconds: float) -> None:
        statement = sql.SQL("SELECT jit.release_owned({}, {})")
        call = statement.format(sql.Literal(name), sql.Literal(escrow))
        wire.transact("release owned", [call], lock_seconds=lock_seconds)

    def drop(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None:
        names = [role.name for role in roles]
        self._call(wire, "drop", "drop_roles", names, lock_seconds=lock_seconds)

    @staticmethod
    def _call(
        wire: Wire, step: str, function: str, names: Collection[str], *, lock_seconds: float
    ) -> None:
        call = sql.SQL("SELECT jit.{}({}::text[])").format(
            sql.Identifier(function), sql.Literal(sorted(names))
        )
        wire.transact(step, [call], lock_seconds=lock_seconds)

    def ends_apart(self, wire: Wire) -> bool:
        """Return whether each step of an end has a function of its own."""
        if self._has_apart is None:
            self._has_apart = bool(wire.ask("look at set-up", _APART)[0]["apart"])
        return self._has_apart

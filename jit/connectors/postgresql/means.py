"""How a role is written: directly since PostgreSQL 16, through our definer functions before.

Up to 15 CREATEROLE is close to superuser (it can grant itself `pg_execute_server_program`), so
there the service account has none of it and may only call functions that keep an allow-list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString, Protocol

from psycopg import sql

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
    """The writes. All but `drop` run inside a transaction that the caller begins and commits."""

    label: str
    sets_role_at_login: bool

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None: ...
    def extend(self, wire: Wire, name: str, deadline: dt.datetime) -> None: ...
    def is_revoked(self, wire: Wire, name: str) -> bool: ...
    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[str],
        members: Mapping[str, Collection[str]],
    ) -> None: ...
    def adopt(self, wire: Wire, name: str) -> None: ...
    def disown(self, wire: Wire, name: str) -> None: ...
    def release(self, wire: Wire, name: str, escrow: str) -> None: ...
    def drop(self, wire: Wire, names: Sequence[str]) -> None: ...


def means_for(version: int) -> Means:
    return Direct() if version >= SINCE_DIRECT else Definer()


def _each(template: LiteralString, names: Sequence[str]) -> list[sql.Composed]:
    statement = sql.SQL(template)
    return [statement.format(name=sql.Identifier(name)) for name in names]


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


_BURY = sql.SQL(
    "INSERT INTO jit.tombstone (name) SELECT unnest({}::text[]) ON CONFLICT DO NOTHING;"
    " DELETE FROM jit.tombstone WHERE at < clock_timestamp() - interval '30 days'"
)


def _has_tombstones(wire: Wire) -> bool:
    """Return whether the set-up made the table that refuses a provision later than its revoke."""
    rows = wire.ask("look for tombstones", "SELECT to_regclass('jit.tombstone') IS NOT NULL AS yes")
    return bool(rows[0]["yes"])


class Direct:
    """16 and later: a CREATEROLE account that has ADMIN, and nothing else, on what it gives."""

    label = "direct"
    sets_role_at_login = True

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None:
        wire.ask(
            "write role",
            sql.SQL(
                "{verb} ROLE {name} LOGIN NOINHERIT CONNECTION LIMIT {limit} PASSWORD {verifier}"
                " VALID UNTIL {deadline}; COMMENT ON ROLE {name} IS {comment};"
                " GRANT {role} TO {name} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE;"
                " ALTER ROLE {name} SET role = {role_text}"
            ).format(
                verb=sql.SQL("ALTER" if existing else "CREATE"),
                name=sql.Identifier(draft.name),
                limit=sql.Literal(draft.connection_limit),
                verifier=sql.Literal(draft.verifier),
                deadline=sql.Literal(draft.deadline.isoformat()),
                comment=sql.Literal(draft.comment),
                role=sql.Identifier(draft.member_of),
                role_text=sql.Literal(draft.member_of),
            ),
        )

    def extend(self, wire: Wire, name: str, deadline: dt.datetime) -> None:
        wire.ask(
            "move deadline",
            sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(
                sql.Identifier(name), sql.Literal(deadline.isoformat())
            ),
        )

    def is_revoked(self, wire: Wire, name: str) -> bool:
        return _has_tombstones(wire) and bool(
            wire.ask("look for tombstone", "SELECT 1 FROM jit.tombstone WHERE name = %s", [name])
        )

    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[str],
        members: Mapping[str, Collection[str]],
    ) -> None:
        """Take away log-in, password, time and memberships of those that are `there`, and
        leave a tombstone for all. One REVOKE for all members of a role: each statement makes
        the server walk through all roles that our account has ADMIN on, which is every
        ephemeral role there is.
        """
        statements = _each(
            "ALTER ROLE {name} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL '-infinity'",
            there,
        )
        statements += [
            sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), _list(sorted(of)))
            for role, of in sorted(members.items())
        ]
        if _has_tombstones(wire):
            statements.append(_BURY.format(sql.Literal(list(asked))))
        if statements:
            wire.ask("neutralise", sql.SQL("; ").join(statements))

    def adopt(self, wire: Wire, name: str) -> None:
        """Let our account act for the role, which REASSIGN OWNED asks for."""
        wire.ask(
            "adopt",
            sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(
                sql.Identifier(name)
            ),
        )

    def disown(self, wire: Wire, name: str) -> None:
        """Undo `adopt`: what others gave the role must not become our account's."""
        wire.ask("disown", sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(name)))

    def release(self, wire: Wire, name: str, escrow: str) -> None:
        role = sql.Identifier(name)
        wire.ask(
            "release owned",
            sql.SQL("REASSIGN OWNED BY {} TO {}; DROP OWNED BY {}").format(
                role, sql.Identifier(escrow), role
            ),
        )

    def drop(self, wire: Wire, names: Sequence[str]) -> None:
        wire.ask("drop", sql.SQL("DROP ROLE IF EXISTS ") + _list(names), committing=True)


class Definer:
    """15 and earlier: the functions of sql/postgresql_15_definer.sql."""

    label = "definer"
    sets_role_at_login = False

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None:  # noqa: ARG002 -- the function looks itself
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

    def extend(self, wire: Wire, name: str, deadline: dt.datetime) -> None:
        wire.ask("move deadline", "SELECT jit.extend(%s, %s)", [name, deadline])

    def is_revoked(self, wire: Wire, name: str) -> bool:  # noqa: ARG002 -- the function looks itself
        return False

    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[str],  # noqa: ARG002 -- the function looks itself
        members: Mapping[str, Collection[str]],  # noqa: ARG002 -- the function looks itself
    ) -> None:
        wire.ask("neutralise", "SELECT jit.neutralise(%s)", [list(asked)])

    def adopt(self, wire: Wire, name: str) -> None:
        """Nothing to do: `jit.release_owned` adopts, and disowns."""

    def disown(self, wire: Wire, name: str) -> None:
        """Nothing to do, as above."""

    def release(self, wire: Wire, name: str, escrow: str) -> None:
        wire.ask("release owned", "SELECT jit.release_owned(%s, %s)", [name, escrow])

    def drop(self, wire: Wire, names: Sequence[str]) -> None:
        wire.ask("drop", "SELECT jit.drop_roles(%s)", [list(names)], committing=True)

"""PostgreSQL 16 and later: roles written with CREATEROLE as it is there, harmless.

Every write to a role makes the server walk through all roles that the writer has ADMIN on, and
whoever makes a role gets ADMIN on it: a thousand live grants would make each write a thousand
times as dear. So the set-up gives the service account a few *makers* to act as, among which the
grants are spread; without them it makes the roles itself, which is right but slow in a storm.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from jit.connectors.base import Refused
from jit.connectors.postgresql.look import Found, one_role
from jit.connectors.postgresql.means import Draft
from jit.connectors.postgresql.wire import Wire

MAKERS = (
    "SELECT rolname::text AS name FROM pg_roles WHERE rolcreaterole AND NOT rolsuper"
    " AND starts_with(rolname::text, current_user || '_maker_')"
    " AND pg_has_role(current_user, oid, 'SET') ORDER BY 1"
)
_SET_UP = (
    f"SELECT to_regclass('jit.tombstone') IS NOT NULL AS tombstones, ARRAY({MAKERS}) AS makers"
)
_BURY = sql.SQL(
    "INSERT INTO jit.tombstone (name) SELECT unnest({}::text[]) ON CONFLICT DO NOTHING;"
    " DELETE FROM jit.tombstone WHERE at < clock_timestamp() - interval '30 days'"
)
# Ours until the commit, which takes it out again. Not there to be taken: the role was revoked.
_CLAIM = sql.SQL("INSERT INTO jit.tombstone (name) VALUES ({}) ON CONFLICT DO NOTHING; ")
_LET_GO = sql.SQL("DELETE FROM jit.tombstone WHERE name = {}; ")
_USELESS = sql.SQL("ALTER ROLE {} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL VALID UNTIL '-infinity'")


@dataclass(frozen=True, slots=True)
class SetUp:
    """What the shipped script left here: a table of what was revoked, and makers."""

    tombstones: bool
    makers: tuple[str, ...]

    def maker_for(self, name: str) -> str | None:
        if not self.makers:
            return None
        return self.makers[zlib.crc32(name.encode()) % len(self.makers)]


class Direct:
    """The writes of one operation; remembers the set-up as it found it."""

    label = "direct"
    sets_role_at_login = True

    def __init__(self) -> None:
        self._found: SetUp | None = None

    def write(self, wire: Wire, draft: Draft, existing: Found | None) -> None:
        name = sql.Identifier(draft.name)
        maker = existing.maker if existing else self._set_up(wire).maker_for(draft.name)
        as_maker = sql.SQL(
            "{verb} ROLE {name} LOGIN NOINHERIT CONNECTION LIMIT {limit} PASSWORD {verifier}"
            " VALID UNTIL {deadline}; COMMENT ON ROLE {name} IS {comment};"
            " ALTER ROLE {name} SET role = {role}"
        ).format(
            verb=sql.SQL("ALTER" if existing else "CREATE"),
            name=name,
            limit=sql.Literal(draft.connection_limit),
            verifier=sql.Literal(draft.verifier),
            deadline=sql.Literal(draft.deadline.isoformat()),
            comment=sql.Literal(draft.comment),
            role=sql.Literal(draft.member_of),
        )
        grant = sql.SQL("GRANT {} TO {} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE").format(
            sql.Identifier(draft.member_of), name
        )
        wire.ask("write role", _script([*_acting_as(wire, maker, [as_maker]), grant]))

    def extend(self, wire: Wire, found: Found, deadline: dt.datetime) -> None:
        statement = sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(
            sql.Identifier(found.name), sql.Literal(deadline.isoformat())
        )
        wire.ask("move deadline", _script(_acting_as(wire, found.maker, [statement])))

    def begin(self, wire: Wire, name: str, *, lock_seconds: float) -> Mapping[str, Any]:
        tombstones = self._set_up(wire).tombstones
        claim = _CLAIM.format(sql.Literal(name)) if tombstones else sql.Composed([])
        statement = claim + one_role(name, tombstones=tombstones)
        return wire.begin("begin", statement, lock_seconds=lock_seconds)[0]

    def commit(self, wire: Wire, name: str) -> None:
        let_go = _LET_GO.format(sql.Literal(name)) if self._set_up(wire).tombstones else None
        commit = sql.SQL("COMMIT").format()
        wire.ask("commit", let_go + commit if let_go else commit, committing=True)

    def bury(self, wire: Wire, names: Sequence[str], *, lock_seconds: float) -> None:
        if self._set_up(wire).tombstones:
            tombs = _BURY.format(sql.Literal(sorted(names)))
            wire.transact("bury", [tombs], lock_seconds=lock_seconds)
        else:
            self._wait_for_givers(wire, names, lock_seconds=lock_seconds)

    def _wait_for_givers(self, wire: Wire, names: Sequence[str], *, lock_seconds: float) -> None:
        """Wait for whoever is making one of these roles, where there is no table of ours: its
        name can't be written twice. That nobody makes it later can't be had there.
        """
        known = wire.ask(
            "look", "SELECT rolname::text AS name FROM pg_roles WHERE rolname = ANY(%s)", [[*names]]
        )
        absent = sorted({*names} - {row["name"] for row in known})
        statements: list[sql.Composed] = []
        for name in absent:
            make = sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name))
            statements += _acting_as(wire, self._set_up(wire).maker_for(name), [make])
        if not statements:
            return
        undo = sql.SQL("ROLLBACK; BEGIN").format()
        with contextlib.suppress(Refused):  # Who may make no role is making none.
            wire.transact("try the names", [*statements, undo], lock_seconds=lock_seconds)

    def suspend(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        statement = sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(found.name))
        wire.transact(
            "suspend", _acting_as(wire, found.maker, [statement]), lock_seconds=lock_seconds
        )

    def neutralise(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None:
        statements: list[sql.Composed] = []
        for maker, of in _by_maker(roles):
            useless = [_USELESS.format(sql.Identifier(role.name)) for role in of]
            statements += _acting_as(wire, maker, useless)
        wire.transact("neutralise", statements, lock_seconds=lock_seconds)

    def withdraw(
        self,
        wire: Wire,
        names: Sequence[str],  # noqa: ARG002 -- of the functions up to 15
        members: Mapping[str, Collection[str]],
        *,
        lock_seconds: float,
    ) -> None:
        statements = [
            sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), _list(sorted(of)))
            for role, of in sorted(members.items())
        ]
        if statements:
            wire.transact("withdraw", statements, lock_seconds=lock_seconds)

    def drop_begun(self, wire: Wire, roles: Sequence[Found]) -> None:
        """Drop them in the transaction that the caller began, and commit it."""
        script = _script([*_dropping(wire, roles), sql.SQL("COMMIT").format()])
        wire.ask("remove", script, committing=True)

    def adopt(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        statement = sql.SQL("GRANT {} TO SESSION_USER WITH INHERIT TRUE, SET TRUE")
        statements = [statement.format(sql.Identifier(found.name))]
        wire.transact("adopt", _acting_as(wire, found.maker, statements), lock_seconds=lock_seconds)

    def disown(self, wire: Wire, found: Found, *, lock_seconds: float) -> None:
        statements = [sql.SQL("REVOKE {} FROM SESSION_USER").format(sql.Identifier(found.name))]
        wire.transact(
            "disown", _acting_as(wire, found.maker, statements), lock_seconds=lock_seconds
        )

    def release(self, wire: Wire, name: str, escrow: str, *, lock_seconds: float) -> None:
        role = sql.Identifier(name)
        statement = sql.SQL("REASSIGN OWNED BY {} TO {}; DROP OWNED BY {}")
        statements = [statement.format(role, sql.Identifier(escrow), role)]
        wire.transact("release owned", statements, lock_seconds=lock_seconds)

    def drop(self, wire: Wire, roles: Sequence[Found], *, lock_seconds: float) -> None:
        wire.transact("drop", _dropping(wire, roles), lock_seconds=lock_seconds)

    def _set_up(self, wire: Wire) -> SetUp:
        if self._found is None:
            row = wire.ask("look at set-up", _SET_UP)[0]
            self._found = SetUp(row["tombstones"], tuple(row["makers"]))
        return self._found


def _acting_as(
    wire: Wire, maker: str | None, statements: Sequence[sql.Composed]
) -> list[sql.Composed]:
    """Return the statements between becoming the maker and ourselves again, which also ends
    with the transaction.
    """
    if maker is None or maker == wire.connection.info.user:
        return list(statements)
    become = sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(maker))
    return [become, *statements, sql.Composed([sql.SQL("SET LOCAL ROLE NONE")])]


def _by_maker(roles: Iterable[Found]) -> list[tuple[str | None, list[Found]]]:
    found: dict[str | None, list[Found]] = {}
    for role in roles:
        found.setdefault(role.maker, []).append(role)
    return list(found.items())


def _dropping(wire: Wire, roles: Iterable[Found]) -> list[sql.Composed]:
    statements: list[sql.Composed] = []
    for maker, of in _by_maker(roles):
        names = _list([role.name for role in of])
        statements += _acting_as(wire, maker, [sql.SQL("DROP ROLE IF EXISTS ") + names])
    return statements


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _script(statements: Sequence[sql.Composed]) -> sql.Composed:
    return sql.SQL("; ").join(statements)

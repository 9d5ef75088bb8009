"""PostgreSQL 16 and later: roles written with CREATEROLE as it is there, harmless.

Every write to a role makes the server walk through all roles that the writer has ADMIN on, and
whoever makes a role gets ADMIN on it: a thousand live grants would make each write a thousand
times as dear. So the set-up gives the service account a few *makers* to act as, among which the
grants are spread; without them it makes the roles itself, which is right but slow in a storm.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from jit.connectors.postgresql.look import Found
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

    def is_revoked(self, wire: Wire, name: str) -> bool:
        return self._set_up(wire).tombstones and bool(
            wire.ask("look for tombstone", "SELECT 1 FROM jit.tombstone WHERE name = %s", [name])
        )

    def neutralise(
        self,
        wire: Wire,
        asked: Sequence[str],
        there: Sequence[Found],
        members: Mapping[str, Collection[str]],
    ) -> None:
        statements: list[sql.Composed] = []
        for maker, roles in _by_maker(there):
            useless = [_USELESS.format(sql.Identifier(role.name)) for role in roles]
            statements += _acting_as(wire, maker, useless)
        statements += [
            sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), _list(sorted(of)))
            for role, of in sorted(members.items())
        ]
        if self._set_up(wire).tombstones:
            statements.append(_BURY.format(sql.Literal(list(asked))))
        if statements:
            wire.ask("neutralise", _script(statements))

    def remove(
        self, wire: Wire, asked: Sequence[str], there: Sequence[Found], *, tombstones: bool
    ) -> None:
        """Drop those that are `there`, leave a tombstone for all that were `asked` for, and
        commit the transaction that the caller began.
        """
        statements = [_BURY.format(sql.Literal(list(asked)))] if tombstones else []
        statements += _dropping(wire, there)
        wire.ask("remove", _script([*statements, sql.SQL("COMMIT").format()]), committing=True)

    def adopt(self, wire: Wire, found: Found) -> None:
        statement = sql.SQL("GRANT {} TO SESSION_USER WITH INHERIT TRUE, SET TRUE")
        self._alone(wire, "adopt", found, statement.format(sql.Identifier(found.name)))

    def disown(self, wire: Wire, found: Found) -> None:
        statement = sql.SQL("REVOKE {} FROM SESSION_USER")
        self._alone(wire, "disown", found, statement.format(sql.Identifier(found.name)))

    def release(self, wire: Wire, name: str, escrow: str) -> None:
        role = sql.Identifier(name)
        statement = sql.SQL("REASSIGN OWNED BY {} TO {}; DROP OWNED BY {}")
        wire.ask("release owned", statement.format(role, sql.Identifier(escrow), role))

    def drop(self, wire: Wire, roles: Sequence[Found]) -> None:
        statements = _dropping(wire, roles)
        wire.ask("drop", _transaction(statements), committing=True)

    def _alone(self, wire: Wire, step: str, found: Found, statement: sql.Composed) -> None:
        wire.ask(step, _transaction(_acting_as(wire, found.maker, [statement])), committing=True)

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


def _transaction(statements: Sequence[sql.Composed]) -> sql.Composed:
    return sql.SQL("BEGIN; ") + _script(statements) + sql.SQL("; COMMIT")

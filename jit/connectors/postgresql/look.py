"""What is read on a cluster: our roles, their connections, what depends on them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql

from jit.connectors.postgresql.config import MARK
from jit.connectors.postgresql.wire import Rows, Wire

# VALID UNTIL may be infinite, which no datetime is.
ROLE = sql.SQL(
    "r.oid::bigint AS oid, r.rolname::text AS name, r.rolcanlogin AS can_login,"
    " CASE WHEN isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END AS deadline,"
    " r.rolvaliduntil = '-infinity' AS expired_for_good,"
    " shobj_description(r.oid, 'pg_authid') AS comment,"
    " (SELECT a.rolname::text FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member"
    " WHERE m.roleid = r.oid AND m.admin_option ORDER BY 1 LIMIT 1) AS maker"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A role as it is on the cluster. `note` is the JSON of its comment, empty if the role
    doesn't carry one of ours; `maker` has ADMIN on it, as whoever made it has since 16.
    """

    oid: int
    name: str
    can_login: bool
    deadline: dt.datetime | None
    expired_for_good: bool
    note: Mapping[str, Any]
    maker: str | None

    @property
    def neutralised(self) -> bool:
        return not self.can_login and self.expired_for_good

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Found:
        return cls(
            oid=row["oid"],
            name=row["name"],
            can_login=row["can_login"],
            deadline=row["deadline"],
            expired_for_good=bool(row["expired_for_good"]),
            note=_note(row["comment"]),
            maker=row["maker"],
        )


def _note(comment: str | None) -> Mapping[str, Any]:
    try:
        note = json.loads(comment or "")
    except ValueError:
        return {}
    return note if isinstance(note, dict) and note.get("jit") == 1 else {}


def one_role(name: str, *, tombstones: bool = False) -> sql.Composed:
    """Return a query for the clock, this transaction's id, and the role `name` if it exists;
    `revoked` says whether another transaction left a tombstone for it, if there is a table of them.
    """
    revoked = sql.SQL("false").format()
    if tombstones:
        revoked = sql.SQL(
            "EXISTS (SELECT FROM jit.tombstone t WHERE t.name = {}"
            " AND t.xmin::text <> mod(pg_current_xact_id()::text::numeric, 4294967296)::text)"
        ).format(sql.Literal(name))
    return sql.SQL(
        "SELECT clock_timestamp() AS now, {revoked} AS revoked,"
        " mod(pg_current_xact_id()::text::numeric, 4294967296)::text AS xid, {role}"
        " FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname = {name}"
    ).format(role=ROLE, name=sql.Literal(name), revoked=revoked)


def many_roles(names: Iterable[str]) -> sql.Composed:
    """Return a query for the roles that exist among `names`, what our account made them a
    member of, and what others did.
    """
    return sql.SQL(
        "SELECT {role},"
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " JOIN pg_roles o ON o.oid = m.grantor WHERE m.member = r.oid"
        " AND o.rolname = current_user ORDER BY 1) AS given,"
        " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
        " WHERE m.member = r.oid ORDER BY 1) AS member_of"
        " FROM pg_roles r WHERE r.rolname::text = ANY({names}::text[])"
    ).format(role=ROLE, names=sql.Literal(sorted(names)))


def under_our_mark(wire: Wire, *, standing: Collection[str]) -> Rows:
    """Return every role under the mark except our own standing ones, with its connections."""
    query = sql.SQL(
        "WITH live AS (SELECT usesysid, count(*) AS n FROM pg_stat_activity"
        " WHERE usesysid IS NOT NULL GROUP BY 1),"
        " belongs AS (SELECT m.member, array_agg(g.rolname::text ORDER BY 1) AS roles"
        " FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid GROUP BY 1)"
        " SELECT {role}, coalesce(live.n, 0) AS connections,"
        " coalesce(belongs.roles, ARRAY[]::text[]) AS member_of FROM pg_roles r"
        " LEFT JOIN live ON live.usesysid = r.oid LEFT JOIN belongs ON belongs.member = r.oid"
        " WHERE starts_with(r.rolname::text, {mark}) AND r.rolname::text <> ALL({standing})"
        " ORDER BY r.rolname"
    ).format(role=ROLE, mark=sql.Literal(MARK), standing=sql.Literal(sorted(standing)))
    return wire.ask("observe", query)


@dataclass(frozen=True, slots=True)
class Backend:
    """A connection of an ephemeral role; `name` is empty once the role was dropped."""

    pid: int
    oid: int
    name: str


_OF_ROLES = (
    " FROM pg_stat_activity WHERE usesysid::bigint = ANY(%(oids)s)"
    " OR usename::text = ANY(%(names)s)"
)


def terminate(wire: Wire, names: Collection[str], oids: Collection[int]) -> list[Backend]:
    """Signal every backend of these roles to end, and return them. Waits for no lock."""
    return _backends(
        wire,
        "terminate",
        "SELECT pid, usesysid::bigint AS oid, usename::text AS name, pg_terminate_backend(pid)"
        + _OF_ROLES,
        names,
        oids,
    )


def backends(wire: Wire, names: Collection[str], oids: Collection[int]) -> list[Backend]:
    """Return the backends of these roles; one that was dropped meanwhile is found by its number."""
    return _backends(
        wire,
        "look for sessions",
        "SELECT pid, usesysid::bigint AS oid, usename::text AS name" + _OF_ROLES,
        names,
        oids,
    )


def _backends(
    wire: Wire, step: str, query: LiteralString, names: Collection[str], oids: Collection[int]
) -> list[Backend]:
    rows = wire.ask(step, query, {"names": sorted(names), "oids": sorted(oids)})
    return [Backend(row["pid"], row["oid"], row["name"] or "") for row in rows]


def terminate_one(wire: Wire, name: str, pid: int) -> bool:
    """Signal this backend to end if it is one of this role's; return whether it is."""
    rows = wire.ask(
        "terminate one",
        "SELECT pg_terminate_backend(pid) AS told FROM pg_stat_activity"
        " WHERE pid = %s AND usename = %s",
        [pid, name],
    )
    return bool(rows)


def dependents(wire: Wire, oids: Collection[int]) -> dict[int, set[str | None]]:
    """Return for each role that something depends on the databases where that is; None stands
    for what belongs to the whole cluster.
    """
    rows = wire.ask(
        "look for dependents",
        "SELECT d.refobjid::bigint AS oid, b.datname::text AS database FROM pg_shdepend d"
        " LEFT JOIN pg_database b ON b.oid = d.dbid"
        " WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid::bigint = ANY(%s)"
        " GROUP BY 1, 2",
        [sorted(oids)],
    )
    found: dict[int, set[str | None]] = {}
    for row in rows:
        found.setdefault(row["oid"], set()).add(row["database"])
    return found


def what_is_left(wire: Wire, names: Collection[str]) -> tuple[dt.datetime, dict[str, Left]]:
    """Return the target's clock, and the roles that are still there: the observation that ends a
    revocation, together with a look for connections.
    """
    rows = wire.ask(
        "prove",
        sql.SQL(
            "SELECT clock_timestamp() AS now, {role},"
            " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g"
            " ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1) AS member_of"
            " FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname::text = ANY({names}::text[])"
        ).format(role=ROLE, names=sql.Literal(sorted(names))),
    )
    there = {
        row["name"]: Left(Found.of(row), tuple(row["member_of"]))
        for row in rows
        if row["oid"] is not None
    }
    return rows[0]["now"], there


@dataclass(frozen=True, slots=True)
class Left:
    """A role that is still there, and what it is a member of."""

    found: Found
    member_of: tuple[str, ...]

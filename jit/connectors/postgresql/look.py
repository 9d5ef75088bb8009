"""What is read on a cluster: our roles, their connections, what depends on them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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


def lock_key(name: str) -> sql.Composed:
    """Return the SQL of the advisory lock's number that keeps two writers of a role apart."""
    return sql.SQL("hashtextextended({}, 0)").format(sql.Literal(name))


def one_role(name: str) -> sql.Composed:
    """Return a query for the clock, this transaction's id, and the role `name` if it exists."""
    return sql.SQL(
        "SELECT clock_timestamp() AS now,"
        " mod(pg_current_xact_id()::text::numeric, 4294967296)::text AS xid, {role}"
        " FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname = {name}"
    ).format(role=ROLE, name=sql.Literal(name))


def try_locks(names: Iterable[str]) -> sql.Composed:
    """Return a query for whether each name's lock was free, and is ours until the commit.

    A statement of its own: what is looked at afterwards must be seen as of after the lock.
    """
    return sql.SQL(
        "SELECT n.name, pg_try_advisory_xact_lock(hashtextextended(n.name, 0)) AS locked"
        " FROM unnest({}::text[]) AS n(name)"
    ).format(sql.Literal(sorted(names)))


def wait_for_lock(name: str) -> sql.Composed:
    """Return a query that waits for one name's lock; `lock_timeout` says how long."""
    return sql.SQL("SELECT {} AS name, pg_advisory_xact_lock({}) IS NOT NULL AS locked").format(
        sql.Literal(name), lock_key(name)
    )


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


def terminate(wire: Wire, oids: Collection[int]) -> list[int]:
    """Signal every backend of these roles to end; return the role's number for each."""
    rows = wire.ask(
        "terminate",
        "SELECT usesysid::bigint AS oid, pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usesysid::bigint = ANY(%s)",
        [sorted(oids)],
    )
    return [row["oid"] for row in rows]


def terminate_one(wire: Wire, name: str, pid: int) -> bool:
    """Signal this backend to end if it is one of this role's; return whether it is."""
    rows = wire.ask(
        "terminate one",
        "SELECT pg_terminate_backend(pid) AS told FROM pg_stat_activity"
        " WHERE pid = %s AND usename = %s",
        [pid, name],
    )
    return bool(rows)


def connections(wire: Wire, oids: Collection[int]) -> dict[int, int]:
    """Return how many backends each of these roles has, where it has any; a role that was
    dropped meanwhile counts by its number.
    """
    rows = wire.ask(
        "look for sessions",
        "SELECT usesysid::bigint AS oid, count(*) AS n FROM pg_stat_activity"
        " WHERE usesysid::bigint = ANY(%s) GROUP BY 1",
        [sorted(oids)],
    )
    return {row["oid"]: row["n"] for row in rows}


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


def owned_here(wire: Wire, oid: int) -> list[str]:
    """Return the descriptions of what the role owns in the connected database."""
    rows = wire.ask(
        "list owned",
        "SELECT pg_describe_object(classid, objid, objsubid) AS what FROM pg_shdepend"
        " WHERE refclassid = 'pg_authid'::regclass AND refobjid = %s::oid AND deptype = 'o'"
        " AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
        " ORDER BY 1 LIMIT 100",
        [oid],
    )
    return [row["what"] for row in rows]


def what_is_left(
    wire: Wire, names: Collection[str], oids: Collection[int]
) -> tuple[dt.datetime, dict[str, Found], dict[int, int]]:
    """Return the target's clock, the roles that are there, and connections by role number:
    the observation that ends a revocation.
    """
    rows = wire.ask(
        "prove",
        sql.SQL(
            "SELECT clock_timestamp() AS now, {role},"
            " (SELECT jsonb_object_agg(oid, n) FROM (SELECT usesysid::bigint AS oid, count(*) AS n"
            " FROM pg_stat_activity WHERE usesysid::bigint = ANY({oids}::bigint[]) GROUP BY 1) l)"
            " AS connections FROM (SELECT 1) one"
            " LEFT JOIN pg_roles r ON r.rolname::text = ANY({names}::text[])"
        ).format(role=ROLE, oids=sql.Literal(sorted(oids)), names=sql.Literal(sorted(names))),
    )
    there = {row["name"]: Found.of(row) for row in rows if row["oid"] is not None}
    counted = {int(oid): n for oid, n in (rows[0]["connections"] or {}).items()}
    return rows[0]["now"], there, counted

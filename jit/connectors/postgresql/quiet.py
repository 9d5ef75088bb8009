"""The short way out, which most roles take: nobody is connected, nothing depends on it, dropped.

A role that is dropped lets nobody in any more, so it need not be made useless first. Whatever
hinders this is left as it was, for the long way; a log-in that slips in meanwhile is cut after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import sql

from jit.connectors.postgresql import batch, look
from jit.connectors.postgresql.batch import Ending
from jit.connectors.postgresql.direct import Direct
from jit.connectors.postgresql.wire import Wire

_LOOK = sql.SQL(
    "SELECT to_regclass('jit.tombstone') IS NOT NULL AS tombstones, {role},"
    " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
    " WHERE m.member = r.oid ORDER BY 1) AS member_of,"
    " r.oid = ANY(ARRAY(SELECT usesysid FROM pg_stat_activity WHERE usesysid IS NOT NULL))"
    " OR r.rolname = ANY(ARRAY(SELECT owner FROM pg_prepared_xacts))"
    " OR EXISTS (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass"
    " AND d.refobjid = r.oid) AS busy"
    " FROM (SELECT 1) one LEFT JOIN pg_roles r ON r.rolname = ANY({names}::name[])"
)


def remove(wire: Wire, endings: Sequence[Ending], *, lock_seconds: float) -> None:
    """Drop in one transaction those of the roles that are quiet; mark them, and those that are
    not there, as removed. Raises ConnectorError, and nothing has happened unless Ambiguous.
    """
    locks = look.try_locks(ending.name for ending in endings)
    rows = wire.begin("lock", locks, lock_seconds=lock_seconds)
    ours = {row["name"] for row in rows if row["locked"]}
    rows = wire.ask("look", _look(ours))
    there = {row["name"]: row for row in rows if row["oid"] is not None}
    quiet = {ending.name: ending for ending in endings if _is_quiet(ending.name, ours, there)}
    found = {name: look.Found.of(there[name]) for name in quiet if name in there}
    by, tombstones = Direct(), bool(rows[0]["tombstones"])
    by.remove(wire, sorted(quiet), list(found.values()), tombstones=tombstones)
    for name, ending in quiet.items():
        row, role = there.get(name), found.get(name)
        batch.note(ending, row, role, mode=by.label, version=wire.version, at_once=True)


def _look(names: Iterable[str]) -> sql.Composed:
    return _LOOK.format(role=look.ROLE, names=sql.Literal(sorted(names)))


def _is_quiet(name: str, ours: set[str], there: dict[str, dict[str, Any]]) -> bool:
    return name in ours and not (name in there and there[name]["busy"])

"""The short way out, which most roles take: nobody is connected, nothing depends on it, dropped.

A role that is dropped lets nobody in any more, so it need not be made useless first. Whatever
hinders this is left as it was, for the long way; a log-in that slips in meanwhile is cut after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from psycopg import sql

from jit.connectors.postgresql import look
from jit.connectors.postgresql.batch import Ending
from jit.connectors.postgresql.direct import Direct
from jit.connectors.postgresql.wire import Wire

_LOOK = sql.SQL(
    "SELECT {role},"
    " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
    " JOIN pg_roles o ON o.oid = m.grantor WHERE m.member = r.oid"
    " AND o.rolname = current_user ORDER BY 1) AS given,"
    " ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
    " WHERE m.member = r.oid ORDER BY 1) AS member_of,"
    " r.oid = ANY(ARRAY(SELECT usesysid FROM pg_stat_activity WHERE usesysid IS NOT NULL))"
    " OR r.rolname = ANY(ARRAY(SELECT owner FROM pg_prepared_xacts))"
    " OR EXISTS (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass"
    " AND d.refobjid = r.oid) AS busy"
    " FROM pg_roles r WHERE r.rolname = ANY({names}::name[])"
)


def remove(
    wire: Wire,
    endings: Sequence[Ending],
    *,
    lock_seconds: float,
    remember: Callable[[Sequence[Ending]], None],
) -> None:
    """Drop in one transaction those of the roles that are quiet; mark them, and those that are
    not there, as removed. What was found of them is given to `remember` before. Raises
    ConnectorError, and nothing has happened unless Ambiguous.
    """
    by = Direct()
    rows = wire.begin("look", _look(e.name for e in endings), lock_seconds=lock_seconds)
    there = {row["name"]: row for row in rows}
    quiet = []
    for ending in endings:
        row = there.get(ending.name)
        if row is None or not row["busy"]:
            ending.note(row, mode=by.label, version=wire.version)
            quiet += [ending] if row else []
    if not quiet:
        wire.commit("let go")
        return
    remember(quiet)
    by.drop_begun(wire, [ending.found for ending in quiet if ending.found])
    for ending in quiet:
        ending.removed = True
        ending.evidence["removed_at_once"] = True


def _look(names: Iterable[str]) -> sql.Composed:
    return _LOOK.format(role=look.ROLE, names=sql.Literal(sorted(names)))

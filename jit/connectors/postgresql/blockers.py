"""Who holds the lock that a statement of ours waits for: named, so that a person can let it go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace

from jit.connectors.base import ConnectorError, Context
from jit.connectors.postgresql.wire import Busy, Wire, Wires

PATIENCE = 1.0
"""Seconds that a statement may take before anybody is asked why."""
_PAUSE = 0.05

# A prepared transaction has no process: its locks are found by the transaction's own.
_BLOCKERS = """
SELECT h.pid, coalesce(a.usename::text, '?') AS usename, a.datname::text AS datname,
  a.application_name, coalesce(a.query_start, a.xact_start, a.backend_start) AS since,
  x.gid, x.owner::text AS owner, x.database::text AS prepared_in, x.prepared
FROM pg_locks m
JOIN pg_locks h ON h.granted AND h.pid IS DISTINCT FROM m.pid
  AND (h.pid = ANY(pg_blocking_pids(m.pid)) OR (h.pid IS NULL AND 0 = ANY(pg_blocking_pids(m.pid))))
  AND (h.locktype, h.database, h.relation, h.page, h.tuple, h.virtualxid, h.transactionid,
    h.classid, h.objid, h.objsubid) IS NOT DISTINCT FROM (m.locktype, m.database, m.relation,
    m.page, m.tuple, m.virtualxid, m.transactionid, m.classid, m.objid, m.objsubid)
LEFT JOIN pg_stat_activity a ON a.pid = h.pid
LEFT JOIN pg_locks t ON h.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid'
  AND t.virtualtransaction = h.virtualtransaction
LEFT JOIN pg_prepared_xacts x ON x.transaction = t.transactionid
WHERE m.pid = %s AND NOT m.granted
"""


@contextlib.contextmanager
def named(wires: Wires, context: Context, wire: Wire, *, after: float = PATIENCE) -> Iterator[None]:
    """Say in a Busy error of what is done on `wire` who held it up; its evidence has them as
    `blocked_by`. Looked up from a second connection once the statement took `after` seconds.
    """
    found: list[str] = []
    done = threading.Event()
    pid = wire.connection.info.backend_pid
    aside = replace(context, interfere=None)

    def look() -> None:
        if done.wait(after):
            return
        with contextlib.suppress(ConnectorError), wires.borrow(aside) as other:
            while not (found or done.is_set()):
                found.extend(blockers_of(other, pid))
                done.wait(_PAUSE)

    watcher = threading.Thread(target=look, name="blockers", daemon=True)
    watcher.start()
    try:
        yield
    except Busy as busy:
        done.set()
        watcher.join()
        if not found:
            raise
        said = f"{busy.detail}; held up by {' and '.join(found)}"
        raise Busy(said, evidence={**busy.evidence, "blocked_by": found}) from None
    finally:
        done.set()
        watcher.join()


def blockers_of(wire: Wire, pid: int) -> list[str]:
    """Return who holds what the backend `pid` waits for, in words."""
    named = []
    for row in wire.ask("look who holds it", _BLOCKERS, [pid]):
        if row["gid"] is not None:
            named.append(
                f"the prepared transaction {row['gid']} of {row['owner']} in {row['prepared_in']},"
                f" prepared {row['prepared']:%Y-%m-%d %H:%M:%S} UTC"
            )
        elif row["pid"] is None:
            named.append("a prepared transaction")
        else:
            since = f", since {row['since']:%Y-%m-%d %H:%M:%S} UTC" if row["since"] else ""
            by = f", {row['application_name']}" if row["application_name"] else ""
            where = row["datname"] or "no database"
            named.append(f"pid {row['pid']} ({row['usename']} in {where}{by}{since})")
    return list(dict.fromkeys(named))

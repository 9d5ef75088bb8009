"""The sealer: new events become leaves of the tree, and a signed checkpoint says so."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection, transaction

from jit.audit import log, signing
from jit.audit.verifier import HASH, Frontier
from jit.kernel import db

logger = logging.getLogger(__name__)

LOCK = "audit.seal"
HEARTBEAT = dt.timedelta(minutes=10)
"""After so long without an event a checkpoint of the same size is signed: silence is provable."""
A_BATCH = 20_000
"""Leaves sealed in one transaction."""


@dataclass(frozen=True, slots=True)
class _Last:
    frontier: Frontier
    txid: str
    seq: int
    base_seq: int
    at: dt.datetime | None


def seal(*, now: dt.datetime) -> int:
    """Seal every event that is ready, in as many transactions as it takes; return how many.

    Ready is what no running transaction can still precede: events are ordered by
    `(txid, seq)`, and only transactions older than every running one are read. (Following
    `seq` loses events: it is handed out at the insert but seen only after the commit.)
    Does nothing while another sealer is at work. Raises ImproperlyConfigured without a key.
    """
    total = 0
    while True:
        sealed = seal_batch(now=now, limit=A_BATCH)
        total += sealed
        if sealed < A_BATCH:
            return total


def seal_batch(*, now: dt.datetime, limit: int) -> int:
    """Seal at most `limit` events in one transaction; return how many."""
    signer = signing.signer()
    with transaction.atomic():
        if not db.try_lock_until_commit(LOCK):
            return 0
        last = _last()
        with connection.cursor() as cursor:
            rows = _ready(cursor, last, limit)
            if not rows and _is_behind(cursor, last.txid):
                rows = _left_over(cursor, last, limit)
                if not rows:
                    last = _anew(cursor, last)
            elif not rows and last.at is not None and now - last.at < HEARTBEAT:
                return 0
            _append(cursor, last.frontier, rows)
            seq, txid = (rows[-1][0], rows[-1][1]) if rows else (last.seq, last.txid)
            frontier, root = last.frontier, last.frontier.root()
            cursor.execute(
                "INSERT INTO audit_checkpoint "
                "(size, root, frontier, last_txid, last_seq, base_seq, at, vkey, note) "
                "VALUES (%s, %s, %s, %s::xid8, %s, %s, %s, %s, %s)",
                [
                    frontier.size,
                    root,
                    b"".join(frontier.peaks),
                    txid,
                    seq,
                    last.base_seq,
                    now,
                    str(signer.key),
                    signer.checkpoint(size=frontier.size, root=root, at=now),
                ],
            )
    return len(rows)


def frontier_of(size: int, packed: bytes) -> Frontier:
    """Return the tree that a checkpoint's `size` and `frontier` columns describe."""
    return Frontier(size, [packed[at : at + HASH] for at in range(0, len(packed), HASH)])


def _last() -> _Last:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT size, frontier, last_txid::text, last_seq, base_seq, at "
            "FROM audit_checkpoint ORDER BY id DESC LIMIT 1"
        )
        row = cursor.fetchone()
    if row is None:
        return _Last(Frontier(), "0", 0, 0, None)
    size, packed, txid, seq, base_seq, at = row
    return _Last(frontier_of(size, bytes(packed)), txid, seq, base_seq, at)


type _Row = tuple[int, str, bytes]


def _ready(cursor: Any, last: _Last, limit: int) -> list[_Row]:
    """Return the next events that no running transaction can still precede."""
    cursor.execute(
        "SELECT e.seq, e.txid::text, e.leaf FROM audit_event e "
        "WHERE (e.txid, e.seq) > (%s::xid8, %s) AND e.seq > %s "
        "AND e.txid < pg_snapshot_xmin(pg_current_snapshot()) "
        "ORDER BY e.txid, e.seq LIMIT %s",  # `txid` alone would sort the text
        [last.txid, last.seq, last.base_seq, limit],
    )
    rows: list[_Row] = cursor.fetchall()
    return rows


def _is_behind(cursor: Any, txid: str) -> bool:
    """Return whether this cluster has yet to come to `txid`, which is sealed already.

    So it is after a logical dump was loaded into a new one: it counts transactions from the
    start, and its events would sort before those of the old cluster.
    """
    cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot()) <= %s::xid8", [txid])
    return bool(cursor.fetchone()[0])


def _left_over(cursor: Any, last: _Last, limit: int) -> list[_Row]:
    """Return what the old cluster had written but not sealed; none of it can still be running."""
    cursor.execute(
        "SELECT e.seq, e.txid::text, e.leaf FROM audit_event e "
        "WHERE (e.txid, e.seq) > (%s::xid8, %s) ORDER BY e.txid, e.seq LIMIT %s",
        [last.txid, last.seq, limit],
    )
    rows: list[_Row] = cursor.fetchall()
    return rows


def _anew(cursor: Any, last: _Last) -> _Last:
    """Return the place to go on from in a new cluster: past every event of the old one."""
    cursor.execute("SELECT coalesce(max(seq), 0) FROM audit_leaf")
    base: int = cursor.fetchone()[0]
    logger.warning("the audit log was moved to another cluster; sealing goes on after seq %s", base)
    return replace(last, txid="0", seq=0, base_seq=base)


def _append(cursor: Any, frontier: Frontier, rows: list[_Row]) -> None:
    """Store the leaves and the subtrees they complete, and grow the frontier by them."""
    if not rows:
        return
    nodes: list[tuple[int, int, bytes]] = []
    with cursor.copy("COPY audit_leaf (idx, seq, leaf) FROM STDIN") as copy:
        for seq, _, stored in rows:
            leaf, idx = bytes(stored), frontier.size
            if idx & 0xFF == 0xFF:  # noqa: PLR2004 -- the last leaf of a tile of 2^log.TILE
                nodes += log.completed(idx, leaf, frontier.peaks)
            frontier.append(leaf)
            copy.write_row((idx, seq, leaf))
    if nodes:
        with cursor.copy("COPY audit_node (level, idx, hash) FROM STDIN") as copy:
            for node in nodes:
                copy.write_row(node)

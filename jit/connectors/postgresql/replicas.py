"""Standbys that people may read on: a session there outlives the role that it logged in as.

A standby repeats what its primary wrote, a while later, and no DROP ROLE ends a session there. So
sessions are told to end on each standby that the configuration names, and nothing is proven before
it has repeated that nobody may log in any more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jit.connectors import evidence
from jit.connectors.base import Check, ConnectorError, Context
from jit.connectors.postgresql.batch import Ending
from jit.connectors.postgresql.wire import Busy, Wire, Wires

_PAUSE = 0.02
_HOW_FAR = (
    "SELECT pg_current_wal_flush_lsn()::text AS lsn, (SELECT count(*) FROM pg_stat_replication r"
    " WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid"
    " AND s.slot_type = 'logical')) + (SELECT count(*) FROM pg_replication_slots"
    " WHERE slot_type = 'physical' AND NOT active) AS standbys"
)
_CAUGHT_UP = (
    "SELECT pg_is_in_recovery() AS standby,"
    " coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false) AS yes,"
    " pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn())::bigint AS behind"
)
# Where the role was dropped already, only its number is left.
_TERMINATE = (
    "SELECT pid, usesysid::bigint AS oid, usename::text AS name, pg_terminate_backend(pid)"
    " FROM pg_stat_activity WHERE usesysid::bigint = ANY(%(oids)s)"
    " OR usename::text = ANY(%(names)s)"
)


def terminate(wires: Wires, context: Context, *, name: str) -> int:
    """Tell the role's sessions to end on every standby; return how many there were. The others
    are told all the same where one fails. Raises ConnectorError.
    """
    told, failed = 0, None
    for there in wires.replicas.values():
        try:
            with there.borrow(context) as wire:
                told += len(_terminate(wire, {name}, set()))
        except ConnectorError as error:
            failed = error
    if failed:
        raise failed
    return told


def cut(wires: Wires, context: Context, endings: Sequence[Ending]) -> None:
    """End the sessions of roles that nobody can log in as any more, on every standby, and write
    down what was found. Nothing is proven of those that one of the standbys leaves open.
    """
    with wires.borrow(context) as wire:
        row = wire.ask("look for standbys", _HOW_FAR)[0]
    unnamed = row["standbys"] - len(wires.replicas)
    if unnamed > 0:
        for ending in endings:
            said = ending.evidence.setdefault("not_looked_at", [])
            said += [] if _not_named(unnamed) in said else [_not_named(unnamed)]
    for name, there in wires.replicas.items():
        try:
            with there.borrow(context) as wire:
                cut = _cut(wire, endings, lsn=row["lsn"])
        except ConnectorError as error:
            for ending in endings:
                ending.elsewhere = True
                ending.hinder(Busy(f"standby {name}: {error.detail}", evidence=error.evidence))
            continue
        for ending in endings:
            found = {name: {"connections_cut": cut[ending.name], "connections_found": 0}}
            ending.evidence = evidence.merged(ending.evidence, {"standbys": found})


def checks(wires: Wires, context: Context) -> Iterator[Check]:
    """Yield the lines of a health report about standbys."""
    with wires.borrow(context) as wire:
        row = wire.ask("look for standbys", _HOW_FAR)[0]
    unnamed = row["standbys"] - len(wires.replicas)
    yield Check(
        "standbys are known",
        ok=unnamed <= 0,
        detail=f"{_not_named(unnamed)}. Name them, or let no jit_… role log in there"
        if unnamed > 0
        else "no server follows this one that is not named under replicas",
        only_warns=True,
    )
    for name, there in wires.replicas.items():
        try:
            with there.borrow(context) as wire:
                is_standby = _caught_up(wire, row["lsn"])["standby"]
            why = "" if is_standby else "it is no standby: take it out of replicas"
        except ConnectorError as error:
            why = error.detail
        yield Check(
            f"standby {name}",
            ok=not why,
            detail=f"standby {name}: {why}; no end can be proven while that is so"
            if why
            else f"standby {name} can be looked at",
        )


def _not_named(count: int) -> str:
    if count == 1:
        return "1 standby follows this server and is not named under replicas"
    return f"{count} standbys follow this server and are not named under replicas"


def _cut(wire: Wire, endings: Sequence[Ending], *, lsn: str) -> dict[str, int]:
    """End these roles' sessions at once, and again once the standby has repeated `lsn`, after
    which none can come; return how many each had. Raises Busy where that takes too long.
    """
    until = time.monotonic() + wire.context.timeout_seconds / 2
    names = {ending.name for ending in endings}
    oids = {oid for ending in endings for oid in ending.oids}
    seen: dict[int, dict[str, Any]] = {}

    def look() -> bool:
        there = _terminate(wire, names, oids)
        seen.update((row["pid"], row) for row in there)
        return not there

    look()
    _wait(until, lambda: _has_repeated(wire, lsn), lambda: _behind(wire, lsn))
    _wait(until, look, lambda: "connections there were told to end and have not")
    return {
        ending.name: sum(r["name"] == ending.name or r["oid"] in ending.oids for r in seen.values())
        for ending in endings
    }


def _wait(until: float, holds: Callable[[], bool], why_not: Callable[[], str]) -> None:
    while not holds():
        if time.monotonic() > until:
            raise Busy(why_not())
        time.sleep(_PAUSE)


def _has_repeated(wire: Wire, lsn: str) -> bool:
    row = _caught_up(wire, lsn)
    if not row["standby"]:
        raise Busy("it is no standby (any more): what was taken away is not repeated there")
    return bool(row["yes"])


def _behind(wire: Wire, lsn: str) -> str:
    behind = _caught_up(wire, lsn)["behind"]
    return f"it is {behind} bytes behind, and people can log in there until it has repeated them"


def _caught_up(wire: Wire, lsn: str) -> dict[str, Any]:
    return wire.ask("ask how far it is", _CAUGHT_UP, [lsn, lsn])[0]


def _terminate(wire: Wire, names: set[str], oids: set[int]) -> list[dict[str, Any]]:
    values = {"names": sorted(names), "oids": sorted(oids)}
    return wire.ask("terminate", _TERMINATE, values)

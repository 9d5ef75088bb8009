"""What becomes of the things that hang on an ephemeral role when it goes: seen before and after.

REASSIGN OWNED hands on most of what a role owns; DROP OWNED drops the rest (default privileges,
user mappings), takes away what it was given, and deletes a policy that names the role alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jit.connectors.postgresql.wire import Wire

_HERE = (
    " FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %s::oid"
    " AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
)
_BEFORE = (
    "SELECT d.classid::bigint AS class, d.objid::bigint AS object, d.deptype::text AS how,"
    " pg_describe_object(d.classid, d.objid, d.objsubid) AS what" + _HERE + " ORDER BY 4 LIMIT 200"
)
_AFTER = (
    "SELECT w.class, w.object, EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r"
    " ON r.oid = d.refobjid WHERE d.classid = w.class::oid AND d.objid = w.object::oid"
    " AND d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = %s)"
    " AS handed_on,"
    " EXISTS (SELECT FROM pg_policy p WHERE p.oid = w.object::oid"
    " AND w.class::oid = 'pg_policy'::regclass) AS is_policy"
    " FROM unnest(%s::bigint[], %s::bigint[]) AS w (class, object)"
)
_OWNED, _POLICY = "o", "r"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of the connected database that hangs on a role, and `how`: as pg_shdepend's
    deptype says.
    """

    class_number: int
    number: int
    how: str
    what: str


def things_of(wire: Wire, oid: int) -> list[Thing]:
    """Return what hangs on the role in the connected database."""
    rows = wire.ask("list owned", _BEFORE, [oid])
    return [Thing(row["class"], row["object"], row["how"], row["what"]) for row in rows]


def became(wire: Wire, things: Sequence[Thing], *, escrow: str) -> dict[str, list[str]]:
    """Return what became of them, as evidence: `reassigned` to the escrow role, `dropped`, and
    `rights_removed` from the role.
    """
    found: dict[str, list[str]] = {"reassigned": [], "dropped": [], "rights_removed": []}
    if not things:
        return found
    numbers = [[t.class_number for t in things], [t.number for t in things]]
    rows = wire.ask("see what became", _AFTER, [escrow, *numbers])
    now = {(row["class"], row["object"]): row for row in rows}
    database = wire.connection.info.dbname
    for thing in things:
        after = now[thing.class_number, thing.number]
        if thing.how == _OWNED:
            key = "reassigned" if after["handed_on"] else "dropped"
        elif thing.how == _POLICY and not after["is_policy"]:
            key = "dropped"
        else:
            key = "rights_removed"
        found[key].append(f"{thing.what} in {database}")
    return found

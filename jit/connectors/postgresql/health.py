"""Whether a cluster can be used: reachable, on time, with rights enough and not too many."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from jit.connectors.base import Check, ConnectorError, Context, Health
from jit.connectors.postgresql import definer, direct, reach, replicas, writes
from jit.connectors.postgresql.config import PostgreSQLConfig
from jit.connectors.postgresql.wire import Wire, Wires
from jit.kernel import clock

LARGEST_SKEW = 2.0
"""Seconds between the target's clock and ours: deadlines are judged by the target's."""
LOGIN_TRIGGER = "jit_login_deadline"
_ASK_PASSWORD = {"scram-sha-256", "md5", "password"}
_NO_ENTRY = {"reject"}


def examine(config: PostgreSQLConfig, wires: Wires, context: Context) -> Health:
    """Return the report of one target."""
    try:
        with wires.borrow(context) as wire:
            skew = _skew(wire)
            checks = (*_checks(wire, config, skew), *replicas.checks(wires, context))
    except ConnectorError as error:
        return Health(
            ok=False,
            detail=error.detail,
            checks=(Check("reachable", ok=False, detail=error.detail),),
        )
    failed = [check for check in checks if not check.ok]
    broken = [check for check in failed if not check.only_warns]
    said = "; ".join(check.detail for check in broken or failed)
    return Health(ok=not broken, detail=said or "all is well", skew_seconds=skew, checks=checks)


def _skew(wire: Wire) -> float:
    """Return the target's clock minus ours in seconds, from the quickest of three answers."""
    best: tuple[float, float] | None = None
    for _ in range(3):
        before, started = clock.now(), time.monotonic()
        there = wire.ask("ask the time", "SELECT clock_timestamp() AS now")[0]["now"]
        trip = time.monotonic() - started
        skew = (there - before).total_seconds() - trip / 2
        if best is None or trip < best[0]:
            best = (trip, skew)
    return round(best[1], 4) if best else 0.0


def _checks(wire: Wire, config: PostgreSQLConfig, skew: float) -> Iterator[Check]:
    version = wire.connection.info.parameter_status("server_version") or str(wire.version)
    by = writes.means_for(wire.version)
    yield Check("reachable", ok=True, detail=f"PostgreSQL {version}, mode {by.label}")
    yield Check(
        "clock",
        ok=abs(skew) <= LARGEST_SKEW,
        detail=f"the target's clock is {skew:+.3f} s off ours (at most {LARGEST_SKEW:g} s)",
    )
    yield from _writable(wire)
    account = _account(wire)
    yield Check(
        "not too much",
        ok=not account["rolsuper"],
        detail="the service account is a superuser; give it the shipped set-up's rights instead"
        if account["rolsuper"]
        else "the service account is no superuser",
        only_warns=True,
    )
    if by.sets_role_at_login:
        yield from _direct_rights(wire, config, account)
    else:
        yield from _definer_rights(wire, config, account)
    yield from reach.checks(reach.reached_from(wire, config.allowed_roles), service=config.user)
    yield Check(
        "can cut",
        ok=account["rolsuper"] or account["can_signal"],
        detail="the service account must be a member of pg_signal_backend to cut connections",
    )
    if not config.is_local:
        yield Check(
            "encrypted",
            ok=config.ssl == "verify-full",
            detail=f"sslmode is {config.ssl}; only verify-full knows whom it talks to",
            only_warns=True,
        )
    yield from _left_over(wire)
    yield from _other_ways_in(wire)


def _writable(wire: Wire) -> Iterator[Check]:
    row = wire.ask(
        "ask what it is",
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS ro",
    )[0]
    yield Check(
        "writable",
        ok=not row["standby"] and row["ro"] == "off",
        detail="it is a standby: point the target at the primary"
        if row["standby"]
        else f"read-only is {row['ro']}",
    )


def _account(wire: Wire) -> dict[str, Any]:
    return wire.ask(
        "ask who we are",
        "SELECT rolname::text AS name, rolsuper, rolcreaterole,"
        " pg_has_role(oid, 'pg_signal_backend', 'USAGE') AS can_signal FROM pg_roles"
        " WHERE rolname = current_user",
    )[0]


def _direct_rights(
    wire: Wire, config: PostgreSQLConfig, account: dict[str, Any]
) -> Iterator[Check]:
    makers = wire.ask("ask for makers", direct.MAKERS)
    yield Check(
        "can make roles",
        ok=bool(makers) or account["rolsuper"] or account["rolcreaterole"],
        detail=f"the service account makes roles by {len(makers)} makers"
        if makers
        else "the service account needs its makers, or CREATEROLE: run the shipped set-up",
    )
    rows = wire.ask(
        "ask for rights",
        "SELECT a.name, r.oid IS NOT NULL AS there,"
        " coalesce(bool_or(m.admin_option), false) AS admin,"
        " coalesce(bool_or(m.inherit_option OR m.set_option), false) AS uses"
        " FROM unnest(%s::text[]) AS a(name) LEFT JOIN pg_roles r ON r.rolname = a.name"
        " LEFT JOIN pg_auth_members m ON m.roleid = r.oid"
        " AND m.member = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
        " GROUP BY 1, 2 ORDER BY 1",
        [list(config.allowed_roles)],
    )
    missing = [row["name"] for row in rows if not row["there"]]
    without = [r["name"] for r in rows if r["there"] and not (r["admin"] or account["rolsuper"])]
    yield Check(
        "can give",
        ok=not missing and not without,
        detail=_rights_missing(missing, without, "has no ADMIN on"),
    )
    uses = [row["name"] for row in rows if row["uses"]]
    yield Check(
        "uses nothing itself",
        ok=not uses,
        detail=f"the service account can itself become {', '.join(uses)}: re-grant "
        "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE"
        if uses
        else "the service account can't itself become what it gives",
        only_warns=True,
    )
    row = wire.ask(
        "ask for the rest",
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s AND"
        " pg_has_role(current_user, oid, 'USAGE')) AS escrow,"
        " to_regclass('jit.tombstone') IS NOT NULL AS tombstones",
        [config.escrow_role],
    )[0]
    yield Check(
        "escrow",
        ok=row["escrow"],
        detail=f"the service account must inherit {config.escrow_role}, which takes over what "
        "an ended grant's role owned",
        only_warns=True,
    )
    yield Check(
        "tombstones",
        ok=row["tombstones"],
        detail="without the table jit.tombstone a provision that arrives after its revoke is "
        "only found by the next reconciliation",
        only_warns=True,
    )


def _definer_rights(
    wire: Wire, config: PostgreSQLConfig, account: dict[str, Any]
) -> Iterator[Check]:
    yield Check(
        "no CREATEROLE",
        ok=account["rolsuper"] or not account["rolcreaterole"],
        detail="up to PostgreSQL 15 CREATEROLE is close to superuser: take it away, the shipped "
        "functions don't need it",
        only_warns=True,
    )
    there = wire.ask(
        "ask for functions",
        "SELECT coalesce(has_function_privilege(to_regprocedure("
        "'jit.provision(text,text,timestamptz,text,text,integer)'), 'EXECUTE'), false) AS yes",
    )[0]["yes"]
    yield Check(
        "functions",
        ok=there,
        detail="the functions of postgresql_15_definer.sql must be there and ours to call",
    )
    if not there:
        return
    yield Check(
        "functions of today",
        ok=definer.Definer().ends_apart(wire),
        detail="a role is given and ended by the functions of today's postgresql_15_definer.sql; "
        "older ones take all steps of an end at once, which one lock can hold up: run it again",
        only_warns=True,
    )
    rows = wire.ask(
        "ask for rights",
        "SELECT a.name, r.oid IS NOT NULL AS there, l.role IS NOT NULL AS listed"
        " FROM unnest(%s::text[]) AS a(name)"
        " LEFT JOIN pg_roles r ON r.rolname = a.name"
        " LEFT JOIN jit.allowed_role l ON l.role = a.name ORDER BY 1",
        [list(config.allowed_roles)],
    )
    missing = [row["name"] for row in rows if not row["there"]]
    without = [row["name"] for row in rows if row["there"] and not row["listed"]]
    yield Check(
        "can give",
        ok=not missing and not without,
        detail=_rights_missing(missing, without, "is not allowed by jit.allowed_role to give"),
    )


def _rights_missing(missing: list[str], without: list[str], lacks: str) -> str:
    said = []
    if missing:
        said.append(f"there is no role {', '.join(missing)}")
    if without:
        said.append(f"the service account {lacks} {', '.join(without)}")
    return "; ".join(said) or "every allowed role can be given"


def _left_over(wire: Wire) -> Iterator[Check]:
    """A connection outlives its role: dropped behind our back, nobody can say whose it was."""
    left = wire.ask(
        "look for left-overs",
        "SELECT coalesce(array_agg(pid ORDER BY pid), ARRAY[]::integer[]) AS pids"
        " FROM pg_stat_activity a WHERE usesysid IS NOT NULL"
        " AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = a.usesysid)",
    )[0]["pids"]
    yield Check(
        "no connection without a role",
        ok=not left,
        detail=f"connections of roles that somebody dropped are still open and still have their "
        f"rights: end them with pg_terminate_backend ({', '.join(map(str, left))})"
        if left
        else "every connection belongs to a role that exists",
        only_warns=True,
    )


def _other_ways_in(wire: Wire) -> Iterator[Check]:
    """VALID UNTIL is asked for at password log-ins alone: are there others?"""
    may = wire.ask(
        "ask for pg_hba",
        "SELECT has_function_privilege('pg_hba_file_rules()', 'EXECUTE')"
        " AND has_table_privilege('pg_hba_file_rules', 'SELECT') AS yes",
    )[0]["yes"]
    if not may:
        yield Check(
            "password log-ins only",
            ok=False,
            detail="pg_hba_file_rules can't be read, so it is not known whether some log-ins "
            "pass VALID UNTIL by",
            only_warns=True,
        )
        return
    rows = wire.ask(
        "read pg_hba",
        "SELECT line_number, type, auth_method, array_to_string(user_name, ',') AS users,"
        " coalesce(address, 'local') AS address FROM pg_hba_file_rules WHERE error IS NULL"
        " AND NOT database <@ ARRAY['replication']",
    )
    if wire.version >= 170000:  # noqa: PLR2004 -- the first with login event triggers
        guarded = wire.ask(
            "ask for trigger",
            "SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = %s"
            " AND evtevent = 'login' AND evtenabled IN ('O', 'A')) AS yes",
            [LOGIN_TRIGGER],
        )[0]["yes"]
    else:
        guarded = False
    open_lines = [
        f"line {row['line_number']} ({row['auth_method']} for {row['users']} from {row['address']})"
        for row in rows
        if row["auth_method"] not in _ASK_PASSWORD | _NO_ENTRY and _may_be_ours(row["users"])
    ]
    yield Check(
        "password log-ins only",
        ok=not open_lines or guarded,
        detail=f"pg_hba.conf lets roles in without a password, past VALID UNTIL: "
        f"{'; '.join(open_lines)}"
        if open_lines
        else "every log-in asks for a password, so VALID UNTIL holds",
        only_warns=True,
    )


def _may_be_ours(users: str) -> bool:
    """Whether a line's user column may match an ephemeral role; groups and patterns may."""
    names = users.split(",")
    return any(n == "all" or n.startswith(("jit_", "+", "/")) for n in names)

"""What the database must promise: that the application may append to its log, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DatabaseError, connections

from jit.catalog import recorded
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.policy import queries as policy
from jit.policy.compiler import PolicyNotCompiled

TABLES = ("audit_event", "audit_leaf", "audit_node", "audit_checkpoint")
_ROLE = """
SELECT current_user, r.rolsuper, r.rolcreaterole, r.rolbypassrls, s.rolsuper
FROM pg_roles r, pg_roles s WHERE r.rolname = current_user AND s.rolname = session_user
"""
_RIGHTS = """
SELECT c.relname,
    pg_has_role(c.relowner, 'MEMBER'),
    has_table_privilege(c.oid, 'UPDATE') OR has_any_column_privilege(c.oid, 'UPDATE'),
    has_table_privilege(c.oid, 'DELETE'),
    has_table_privilege(c.oid, 'TRUNCATE'),
    (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled <> 'D'
        AND t.tgname IN ('append_only', 'no_truncate'))
FROM pg_class c
WHERE c.relname = ANY (%s) AND c.relnamespace = 'public'::regnamespace
ORDER BY c.relname
"""
_HINT = (
    "Let DATABASE_URL name jit_app, made by jit/ops/sql/roles.sql, and run migrations as "
    "jit_owner (DATABASE_OWNER_URL)."
)
TRIGGERS = 2


def findings(cursor: Any) -> list[checks.CheckMessage]:
    """Return what is too much for the role behind `cursor`, and what is missing."""
    cursor.execute(_ROLE)
    name, is_super, makes_roles, bypasses, came_as_super = cursor.fetchone()
    found: list[checks.CheckMessage] = []
    if is_super or came_as_super or makes_roles or bypasses:
        found.append(
            checks.Error(
                f"The application's database role {name} is a superuser or may make roles: "
                "it could rewrite the audit log.",
                hint=_HINT,
                id="jit.E020",
            )
        )
    cursor.execute(_RIGHTS, [list(TABLES)])
    for table, owns, updates, deletes, truncates, triggers in cursor.fetchall():
        rights = {"UPDATE": updates, "DELETE": deletes, "TRUNCATE": truncates}
        held = ["owns it"] if owns else []
        held += [f"may {right}" for right, has in rights.items() if has]
        if held:
            found.append(
                checks.Error(
                    f"{name} {', '.join(held)}: {table} must be append-only for it.",
                    hint=_HINT,
                    id="jit.E021",
                )
            )
        if triggers != TRIGGERS:
            found.append(
                checks.Error(
                    f"A trigger that keeps {table} append-only is missing or disabled.",
                    hint="Somebody changed the database by hand. Find out who, then restore it "
                    "(docs/runbooks/audit-triggers.md).",
                    id="jit.E022",
                )
            )
    return found


@checks.register(checks.Tags.database)
def check_database(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[Any]:
    """Return what is wrong with the role that the application connects as.

    Before the first migration there are no tables to have rights on: readiness tells that.
    """
    if "default" not in (databases or ()):
        return []
    try:
        with connections["default"].cursor() as cursor:
            return findings(cursor)
    except DatabaseError as unreachable:
        return [
            checks.Error(
                f"The database can't be asked: {unreachable}",
                hint="See DATABASE_URL. What can't be checked is not served.",
                id="jit.E023",
            )
        ]


@checks.register(checks.Tags.database)
def check_patience(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[Any]:
    """Return a warning if the database waits for ever for whoever is silent in a transaction."""
    if "default" not in (databases or ()):
        return []
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            (patience,) = cursor.fetchone()
    except DatabaseError:
        return []
    if patience != "0":
        return []
    return [
        checks.Warning(
            "The database waits for ever for a process of ours that is frozen or cut off in a "
            "transaction, and whoever ends privilege waits for its locks.",
            hint="What the application asks for when it connects does not arrive (a pooler that "
            "ignores `options`?): run jit/ops/sql/roles.sql again, which sets "
            "idle_in_transaction_session_timeout for its roles.",
            id="jit.W003",
        )
    ]


@checks.register(checks.Tags.database)
def check_policy(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[Any]:
    """Return a warning while no policy is in force: until then every request is refused."""
    if "default" not in (databases or ()):
        return []
    try:
        digest = policy.active_digest()
    except DatabaseError:
        return []
    if digest:
        return []
    return [
        checks.Warning(
            "No policy is in force, so every request is refused.",
            hint="Propose one and have a second person activate it (docs/howto/policy.md).",
            id="jit.W001",
        )
    ]


@checks.register(checks.Tags.database)
def check_recording(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[Any]:
    """Return a warning for each role that must be recorded and can be used unrecorded."""
    if "default" not in (databases or ()):
        return []
    try:
        found = list(recorded.ways_round(now=clock.now()))
    except (DatabaseError, DomainError, PolicyNotCompiled):
        return []  # What is wrong with database or policy is said by who uses them.
    return [
        checks.Warning(
            sentence,
            hint="Until then nobody is shown the target's own credential for it; what was shown "
            "before stays good until its grant ends: revoke those grants (Grants, by role).",
            id="jit.W002",
        )
        for sentence in found
    ]

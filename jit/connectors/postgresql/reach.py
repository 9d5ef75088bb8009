"""What a role that is given can do past its end: by itself, or as a role that it reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from psycopg import sql

from jit.connectors.base import Check
from jit.connectors.postgresql.wire import Wire

# Attributes are not inherited, but whoever is a member may become the role that has them.
REACHED = sql.SQL(
    "reached (root, oid) AS (SELECT rolname::text, oid FROM pg_roles"
    " WHERE rolname::text = ANY({roots}::text[]) UNION SELECT reached.root, m.roleid"
    " FROM reached JOIN pg_auth_members m ON m.member = reached.oid)"
)
SERVER_ROLES = (
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
    # What managed services give in place of a superuser.
    "azure_pg_admin",
    "cloudsqlsuperuser",
    "rds_replication",
    "rds_superuser",
)
_QUERY = sql.SQL(
    "WITH RECURSIVE {reached} SELECT reached.root, r.rolname::text AS name, r.rolsuper AS super,"
    " r.rolcreaterole AS createrole, r.rolreplication AS replication, r.rolcanlogin AS login,"
    " r.rolbypassrls AS bypassrls FROM reached JOIN pg_roles r ON r.oid = reached.oid"
    " ORDER BY reached.root, r.rolname::text <> reached.root, r.rolname"
)


@dataclass(frozen=True, slots=True)
class Reached:
    """A role that `root` is (`name` is the same) or may become, and its attributes."""

    root: str
    name: str
    super: bool
    createrole: bool
    replication: bool
    login: bool
    bypassrls: bool

    def what(self, is_said: str) -> str:
        """Return a sentence: the root `is_said` by itself, or as the role that it reaches."""
        via = "" if self.name == self.root else f" as {self.name}"
        return f"{self.root}{via} {is_said}"


def reached_from(wire: Wire, roots: Collection[str]) -> list[Reached]:
    """Return what each of these roles is and reaches by membership; one that isn't there is
    left out.
    """
    reached = REACHED.format(roots=sql.Literal(sorted(roots)))
    rows = wire.ask("ask what is reached", _QUERY.format(reached=reached))
    return [Reached(**row) for row in rows]


def ways_round(reached: Collection[Reached], *, service: str) -> list[str]:
    """Return why roles may not be given: what they reach undoes the deadline, or makes what
    outlives it. `service` is our own account there.
    """
    found: list[str] = []
    for each in reached:
        if each.super:
            found.append(each.what("is a superuser"))
        elif each.createrole:
            found.append(each.what("may make roles"))
        if each.replication and not each.super:
            found.append(each.what("may replicate, and leave replication slots"))
        if each.name in SERVER_ROLES or each.name == service:
            found.append(f"{each.root} is a member of {each.name}")
    return found


def checks(reached: Collection[Reached], *, service: str) -> Iterator[Check]:
    """Yield the lines of a health report about what may be given."""
    round_it = ways_round(reached, service=service)
    yield Check(
        "gives no way round its end",
        ok=not round_it,
        detail=f"{'; '.join(round_it)}: whoever is given it can keep access past the end. "
        "Take that away from it, or the role from allowed_roles"
        if round_it
        else "no allowed role is or reaches a superuser, CREATEROLE, REPLICATION or a role that "
        "acts on the server's machine",
    )
    doubtful = [each.what("can log in") for each in reached if each.login and not each.super]
    doubtful += [
        each.what("passes row-level security by")
        for each in reached
        if each.bypassrls and not each.super
    ]
    yield Check(
        "gives no log-in",
        ok=not doubtful,
        detail=f"{'; '.join(doubtful)}: whoever is given a role that can log in can set its "
        "password, and nobody can see that they did. Give a NOLOGIN role instead"
        if doubtful
        else "no allowed role can log in or passes row-level security by",
        only_warns=True,
    )

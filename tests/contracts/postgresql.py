"""PostgreSQL as the kit sees it: through the superuser, and as a person who logs in."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

import jit.connectors
from jit.connectors.base import Connector, Context, GrantSpec
from jit.connectors.postgresql import PostgreSQL
from jit.ops.embedded.postgres import wheel_binaries
from tests.contracts.ground import Blocker, Ground, Session
from tests.contracts.proxy import Proxy
from tests.support import servers

SHIPPED = Path(jit.connectors.__file__).parent / "sql"
SERVICE = "elevation_service"
SERVICE_PASSWORD = "services-own"


def try_shipped(
    target: servers.Target,
    name: str,
    *,
    database: str = "postgres",
    by: tuple[str, str] | None = None,
    **values: str,
) -> subprocess.CompletedProcess[str]:
    """Run one of the shipped scripts with psql, as its first lines say: as the superuser, or `by`
    a role with its password.
    """
    user, password = by or ("postgres", target.password)
    variables = [f"--set={key}={value}" for key, value in values.items()]
    return subprocess.run(
        [
            wheel_binaries() / "psql",
            "--no-psqlrc",
            "--quiet",
            *variables,
            f"--file={SHIPPED / name}",
            f"--dbname=host={target.host} port={target.port} user={user} dbname={database}",
        ],
        env={"PGPASSWORD": password, "PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def run_shipped(target: servers.Target, name: str, **how: Any) -> None:
    done = try_shipped(target, name, **how)
    assert done.returncode == 0, done.stderr


def makers(attribute: str) -> str:
    """Return SQL that gives every maker of the set-up an attribute."""
    return (
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT rolname FROM pg_roles"
        rf" WHERE rolname LIKE '{SERVICE}\_maker\_%' LOOP"
        f" EXECUTE format('ALTER ROLE %I {attribute}', name); END LOOP; END $$"
    )


@cache
def prepared(version: str) -> servers.Target:
    """Return a cluster of this version with roles to give, set up by the shipped scripts."""
    target = servers.target(version)
    set_up(target, version)
    return target


def set_up(target: servers.Target, version: str) -> None:
    with psycopg.connect(target.dsn(), autocommit=True) as root:
        root.execute("CREATE ROLE app_rw; CREATE ROLE app_ro; CREATE ROLE payroll")
        root.execute("CREATE TABLE orders (number int); CREATE TABLE salaries (amount int)")
        root.execute("GRANT SELECT, INSERT ON orders TO app_rw; GRANT SELECT ON orders TO app_ro")
        root.execute("CREATE DATABASE warehouse")
    with psycopg.connect(target.dsn("warehouse"), autocommit=True) as root:
        root.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    for _ in range(2):  # Running a script again is harmless.
        if version == "15":
            run_shipped(target, "postgresql_15_definer.sql", roles="app_rw, app_ro", longest="1 h")
            run_shipped(target, "postgresql_15_database.sql", database="warehouse")
        else:
            run_shipped(target, "postgresql_16_setup.sql", roles="app_rw, app_ro")
    with psycopg.connect(target.dsn(), autocommit=True) as root:
        root.execute(f"ALTER ROLE {SERVICE} PASSWORD '{SERVICE_PASSWORD}'")


class PsqlSession(Session):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def works(self) -> bool:
        try:
            self.connection.execute("INSERT INTO orders VALUES (1)")
        except psycopg.Error:
            return False
        return True

    def close(self) -> None:
        self.connection.close()


class PostgreSQLGround(Ground):
    cuts_before_it_tells = "terminate"

    def __init__(
        self,
        version: str,
        cls: type[PostgreSQL] = PostgreSQL,
        target: servers.Target | None = None,
    ) -> None:
        self.version = version
        self.target = target or prepared(version)
        self.cls = cls
        self.root = psycopg.connect(self.target.dsn(), autocommit=True)
        # Tests before may keep connections of their own to the shared cluster.
        (self.began_at,) = self.root.execute("SELECT clock_timestamp()").fetchone()

    def close(self) -> None:
        self.root.close()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "host": self.target.host,
            "port": self.target.port,
            "user": SERVICE,
            "password": "db:service",
            "allowed_roles": ["app_rw", "app_ro"],
            **changes,
        }

    def connector(
        self, context: Context | None = None, *, port: int | None = None, **changes: Any
    ) -> Connector:
        with_secret = replace(
            context or Context(), resolve_db=lambda name: SecretStr(SERVICE_PASSWORD)
        )
        config = self.config(port=port or self.target.port, **changes)
        if port:
            # The people are told the way that does not lead through the proxy.
            config |= {"public_host": self.target.host, "public_port": self.target.port}
        return self.cls(self.cls.config_model.parse(config), with_secret)

    def proxy(self) -> Proxy:
        return Proxy(self.target.host, self.target.port)

    def role_config(self) -> Mapping[str, Any]:
        return {"member_of": "app_rw"}

    def names(self) -> set[str]:
        rows = self.root.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\_%'")
        return {row[0] for row in rows}

    def usable_beyond(self, deadline: dt.datetime) -> set[str]:
        rows = self.root.execute(
            r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\_%%' AND rolcanlogin"
            " AND (rolvaliduntil IS NULL OR rolvaliduntil > %s)",
            [deadline],
        )
        return {row[0] for row in rows}

    def proves(self, evidence: Mapping[str, Any]) -> bool:
        return (evidence["roles_found"], evidence["connections_found"]) == (0, 0)

    def secret(self, credential: Mapping[str, str]) -> str:
        return credential["password"]

    def log_in(self, credential: Mapping[str, str], **changes: Any) -> PsqlSession | None:
        try:
            connection = psycopg.connect(
                host=credential["host"],
                port=int(credential["port"]),
                dbname=changes.pop("database", credential["database"]),
                user=credential["user"],
                password=credential["password"],
                options=credential.get("options", ""),
                autocommit=True,
                **changes,
            )
        except psycopg.OperationalError:
            return None
        return PsqlSession(connection)

    def lose(self, name: str) -> None:
        self.root.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))

    def poison(self, name: str) -> None:
        self.root.execute(sql.SQL("GRANT SELECT ON salaries TO {}").format(sql.Identifier(name)))

    def cure(self, name: str) -> None:
        self.root.execute(sql.SQL("REVOKE SELECT ON salaries FROM {}").format(sql.Identifier(name)))

    def blockers(self) -> Mapping[str, Blocker]:
        return {
            "an uncommitted GRANT of the target role": self._dba("GRANT app_rw TO payroll"),
            "an uncommitted change of the person's role": self._dba("ALTER ROLE {} PASSWORD 'x'"),
            "an open transaction of the person's own ALTER ROLE": self._persons(
                "BEGIN", "ALTER ROLE {} PASSWORD 'x'"
            ),
            "a lock by a name that can be guessed": self._persons(
                "SELECT pg_advisory_lock(hashtextextended({}::text, 0))"
            ),
            "a lock on what the person made": self._persons(
                "SELECT lo_from_bytea(0, 'x')", "BEGIN", "ALTER ROLE {} SET work_mem = '1MB'"
            ),
        }

    def _dba(self, statement: str) -> Blocker:
        @contextmanager
        def hold(spec: GrantSpec, _credential: Mapping[str, str]) -> Iterator[None]:
            with psycopg.connect(self.target.dsn()) as dba:
                dba.execute(sql.SQL(statement).format(sql.Identifier(spec.external_name)))
                yield
                dba.rollback()

        return hold

    def _persons(self, *statements: str) -> Blocker:
        """Let one more session of the person hold it; where it is ended, so is the hold."""

        @contextmanager
        def hold(spec: GrantSpec, credential: Mapping[str, str]) -> Iterator[None]:
            other = self.log_in(credential)
            assert other
            with closing(other):
                for statement in ("SET ROLE NONE", *statements):
                    how = sql.Literal if "::text" in statement else sql.Identifier
                    other.connection.execute(sql.SQL(statement).format(how(spec.external_name)))
                yield

        return hold

    def settled(self) -> bool:
        rows = self.root.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND backend_start > %s",
            [SERVICE, self.began_at],
        )
        return rows.fetchone() == (0,)

    def reset(self) -> None:
        self.root.execute("TRUNCATE jit.tombstone")
        self.reset_roles()

    def reset_roles(self) -> None:
        """Remove every ephemeral role with what it owns, wherever that is."""
        names = sorted(self.names())
        if names:
            self.root.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename = ANY(%s)",
                [names],
            )
        roles = sql.SQL(", ").join(map(sql.Identifier, names))
        for (database,) in self._databases() if names else []:
            with psycopg.connect(self.target.dsn(database), autocommit=True) as root:
                root.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(roles))
        if names:
            self.root.execute(sql.SQL("DROP ROLE {}").format(roles))

    def _databases(self) -> list[tuple[str]]:
        return self.root.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall()

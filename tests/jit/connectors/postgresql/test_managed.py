"""A managed service: the shipped set-up run by a role with CREATEROLE that is no superuser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from jit.connectors.base import Revoked
from jit.connectors.postgresql import PostgreSQL
from tests.contracts.postgresql import SERVICE_PASSWORD, PostgreSQLGround, run_shipped

MASTER = ("m_master", "masters-own")
NAMES = {"service": "m_service", "escrow": "m_escrow"}
DATABASES = ["m_orders", "m_billing"]


def as_master(ground: PostgreSQLGround, database: str) -> psycopg.Connection:
    user, password = MASTER
    where = {"host": ground.target.host, "port": ground.target.port, "dbname": database}
    return psycopg.connect(**where, user=user, password=password, autocommit=True)


def drop_all(ground: PostgreSQLGround) -> None:
    for database in DATABASES:
        ground.root.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    found = ground.root.execute(r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'm\_%'")
    names = sql.SQL(", ").join(sql.Identifier(row[0]) for row in found)
    if names.as_string():
        ground.root.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(names, names))


@pytest.fixture
def managed(ground) -> Iterator[PostgreSQLGround]:
    """A cluster whose set-up was run, twice, with what a managed service gives its customer."""
    run = ground.root.execute
    run(f"CREATE ROLE {MASTER[0]} LOGIN CREATEROLE CREATEDB PASSWORD '{MASTER[1]}'")
    run(f"GRANT pg_signal_backend, pg_monitor TO {MASTER[0]} WITH ADMIN OPTION")
    try:
        with closing(as_master(ground, "postgres")) as master:
            master.execute("CREATE ROLE m_rw")
            for database in DATABASES:
                master.execute(f"CREATE DATABASE {database}")
        for database in DATABASES:
            with closing(as_master(ground, database)) as master:
                master.execute("CREATE TABLE orders (number int)")
                master.execute("GRANT SELECT, INSERT ON orders TO m_rw")
        for _ in range(2):
            set_up(ground)
        with closing(as_master(ground, "postgres")) as master:
            master.execute(f"ALTER ROLE m_service PASSWORD '{SERVICE_PASSWORD}'")
        yield ground
    finally:
        ground.reset_roles()
        drop_all(ground)


def set_up(ground: PostgreSQLGround) -> None:
    how = {"by": MASTER, "database": "m_orders", "roles": "m_rw", **NAMES}
    if ground.version == "15":
        definer = {"definer": "m_definer"}
        run_shipped(ground.target, "postgresql_15_definer.sql", **how, **definer)
        other = {**how, **definer, "database": "m_billing"}
        run_shipped(ground.target, "postgresql_15_database.sql", **other)
    else:
        run_shipped(ground.target, "postgresql_16_setup.sql", **how)


def connector(ground: PostgreSQLGround) -> PostgreSQL:
    return ground.connector(
        user="m_service", database="m_orders", allowed_roles=["m_rw"], escrow_role="m_escrow"
    )


class TestSetUp:
    def test_a_grant_is_given_used_and_ended(self, managed):
        spec = replace(
            managed.spec(),
            role_config={"member_of": "m_rw", "databases": DATABASES},
        )
        with closing(connector(managed)) as made:
            credential = made.provision(spec).credential
            larges = []
            for database in DATABASES:
                with closing(managed.log_in(credential, database=database)) as session:
                    assert session.works()
                    session.connection.execute("SET ROLE NONE")
                    (large,) = session.connection.execute("SELECT lo_create(0)").fetchone()
                    larges.append(f"large object {large} in {database}")
            with closing(managed.log_in(credential)) as session:
                (answer,) = made.revoke([spec])
                assert not session.works()
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["connections_cut"] == 1
        assert answer.evidence["memberships_removed"] == ["m_rw"]
        assert sorted(answer.evidence["reassigned"]) == sorted(larges)
        assert not managed.names()

    def test_health_says_only_what_such_a_service_can_not_show(self, managed):
        with closing(connector(managed)) as made:
            report = made.health()
        assert report.ok, report.detail
        assert [check.name for check in report.checks if not check.ok] == ["password log-ins only"]
        assert "can't be read" in report.detail

    def test_whoever_ran_it_is_left_with_nothing_of_the_definers(self, managed):
        """Up to 15 its functions belong to a role that the runner must be for that long."""
        (members,) = managed.root.execute(
            "SELECT count(*) FROM pg_auth_members m JOIN pg_roles d ON d.oid = m.roleid"
            " JOIN pg_roles r ON r.oid = m.member WHERE d.rolname = 'm_definer'"
            " AND r.rolname = 'm_master'"
        ).fetchone()
        assert members == 0

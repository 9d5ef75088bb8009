from __future__ import annotations

import contextlib
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from jit.connectors.base import Refused, Unreachable
from jit.connectors.postgresql import PostgreSQL
from tests.contracts.acts import through_proxy
from tests.contracts.ground import until
from tests.contracts.postgresql import SERVICE, prepared


def waits_for(connector: PostgreSQL) -> str:
    """Return what a commit of the connector waits for on the target."""
    with connector.wires.borrow(connector.context) as wire:
        return wire.ask("look", "SELECT current_setting('synchronous_commit') AS it")[0]["it"]


def test_a_row_without_columns_is_a_row(connector) -> None:
    """As `SELECT FROM … WHERE …` answers whether something is there."""
    with connector.wires.borrow(connector.context) as wire:
        assert wire.ask("look", "SELECT FROM pg_roles WHERE rolname = 'app_rw'") == [{}]
        assert wire.ask("look", "SELECT FROM pg_roles WHERE rolname = 'nobody'") == []
        assert wire.ask("look", "SET application_name = 'x'") == []


class TestBorrow:
    def test_waits_for_the_disk_on_a_target_that_does_not(self, connector):
        assert waits_for(connector) == "local"

    def test_leaves_a_target_that_waits_for_more_as_it_is(self, ground18):
        alter = sql.SQL("ALTER ROLE {} SET synchronous_commit = remote_apply")
        with psycopg.connect(prepared("18").dsn(), autocommit=True) as superuser:
            superuser.execute(alter.format(sql.Identifier(SERVICE)))
            connector = ground18.connector()
            try:
                assert waits_for(connector) == "remote_apply"
            finally:
                connector.close()
                reset = sql.SQL("ALTER ROLE {} RESET synchronous_commit")
                superuser.execute(reset.format(sql.Identifier(SERVICE)))

    def test_waits_once_for_all_that_a_firewall_forgot(self, ground18):
        with through_proxy(ground18, timeout_seconds=0.5) as (connector, proxy):
            with contextlib.ExitStack() as borrowed:
                for _ in range(3):
                    borrowed.enter_context(connector.wires.borrow(connector.context))
            proxy.forget()
            with pytest.raises(Unreachable, match="no answer within"):
                waits_for(connector)
            assert waits_for(connector) == "local"

    def test_keeps_its_other_connections_after_a_refusal(self, connector):
        with contextlib.ExitStack() as borrowed:
            kept = {
                borrowed.enter_context(connector.wires.borrow(connector.context)).connection
                for _ in range(2)
            }
        with (
            pytest.raises(Refused, match="does not exist"),
            connector.wires.borrow(connector.context) as wire,
        ):
            wire.ask("look", "SELECT nothing_there")
        with connector.wires.borrow(connector.context) as wire:
            assert wire.connection in kept


def connected(ground, database: str) -> int:
    """Return how many of our account's connections are open to a database."""
    row = ground.root.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = %s",
        [SERVICE, database],
    ).fetchone()
    return row[0]


class TestKeep:
    @pytest.fixture
    def ledger(self, ground):
        ground.root.execute("CREATE DATABASE ledger")
        yield "ledger"
        ground.root.execute("DROP DATABASE IF EXISTS ledger WITH (FORCE)")
        ground.root.execute("DROP DATABASE IF EXISTS renamed WITH (FORCE)")

    def test_a_dba_renames_a_database_that_was_just_looked_through(self, ground, ledger):
        with closing(ground.connector()) as connector:
            with connector.wires.borrow(connector.context, database=ledger) as wire:
                wire.ask("look", "SELECT 1")
            ground.root.execute("ALTER DATABASE ledger RENAME TO renamed")

    def test_a_dba_renames_the_targets_own_database(self, ground, ledger):
        with closing(ground.connector(database=ledger)) as connector:
            assert waits_for(connector) == "local"
            assert connected(ground, ledger) == 1
            ground.root.execute("ALTER DATABASE ledger RENAME TO renamed")

    def test_closes_what_nobody_uses(self, ground, connector):
        with contextlib.ExitStack() as borrowed:
            for _ in range(3):
                borrowed.enter_context(connector.wires.borrow(connector.context))
        assert until(lambda: connected(ground, "postgres") == 0, seconds=10)
        assert waits_for(connector) == "local"


class TestAsk:
    def test_names_the_database_whose_functions_are_missing(self, ground15):
        ground15.root.execute("CREATE DATABASE bare")
        try:
            with closing(ground15.connector()) as connector:
                spec = ground15.spec()
                credential = connector.provision(spec).credential
                with closing(ground15.log_in(credential, database="bare")) as session:
                    session.connection.execute("SET ROLE NONE")
                    session.connection.execute("SELECT lo_create(0)")
                (answer,) = connector.revoke([spec])
            assert "our functions are missing in the database bare" in answer.detail
            assert "postgresql_15_database.sql" in answer.detail
        finally:
            ground15.reset_roles()
            ground15.root.execute("DROP DATABASE bare WITH (FORCE)")

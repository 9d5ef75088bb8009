from __future__ import annotations

import psycopg
from psycopg import sql

from jit.connectors.postgresql import PostgreSQL
from tests.contracts.postgresql import SERVICE, prepared


def waits_for(connector: PostgreSQL) -> str:
    """Return what a commit of the connector waits for on the target."""
    with connector.wires.borrow(connector.context) as wire:
        return wire.ask("look", "SELECT current_setting('synchronous_commit') AS it")[0]["it"]


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

from __future__ import annotations

import contextlib

import psycopg
import pytest
from psycopg import sql

from jit.connectors.base import Refused, Unreachable
from jit.connectors.postgresql import PostgreSQL
from tests.contracts.kit import through_proxy
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

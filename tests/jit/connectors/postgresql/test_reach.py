"""What may not be given: whoever is given it could keep access past the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from jit.connectors.base import Refused
from tests.contracts.postgresql import SERVICE, PostgreSQLGround, try_shipped

WAYS_ROUND = [
    ("ALTER ROLE given {}SUPERUSER", "given is a superuser"),
    ("ALTER ROLE given {}CREATEROLE", "given may make roles"),
    ("ALTER ROLE given {}REPLICATION", "given may replicate"),
    ("ALTER ROLE beyond {}SUPERUSER", "given as beyond is a superuser"),
    ("ALTER ROLE beyond {}CREATEROLE", "given as beyond may make roles"),
    ("ALTER ROLE beyond {}REPLICATION", "given as beyond may replicate"),
]
SERVER_ROLES = ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"]


@contextmanager
def roles(ground: PostgreSQLGround, *statements: str) -> Iterator[None]:
    """Make `given`, which by `between` may become `beyond`, and run the statements."""
    run = ground.root.execute
    run("CREATE ROLE given; CREATE ROLE between; CREATE ROLE beyond")
    run("GRANT between TO given; GRANT beyond TO between")
    try:
        for statement in statements:
            run(statement)
        yield
    finally:
        run("DROP ROLE given, between, beyond")


def failing(ground: PostgreSQLGround) -> tuple[bool, dict[str, str]]:
    with closing(ground.connector(allowed_roles=["given"])) as connector:
        report = connector.health()
    return report.ok, {check.name: check.detail for check in report.checks if not check.ok}


def set_up(ground: PostgreSQLGround, **values: str) -> Any:
    script = {"15": "postgresql_15_definer.sql", "18": "postgresql_16_setup.sql"}
    return try_shipped(ground.target, script[ground.version], roles="app_ro,given", **values)


@pytest.fixture
def listed(ground):
    """Have our account allowed to give `given`, as it was before the role came to reach more."""
    with roles(ground):
        done = set_up(ground)
        assert done.returncode == 0, done.stderr
        yield ground
        if ground.version == "15":
            ground.root.execute("DELETE FROM jit.allowed_role WHERE role = 'given'")


class TestChecks:
    @pytest.mark.parametrize(("there", "said"), WAYS_ROUND)
    def test_a_role_that_reaches_a_way_round_is_not_ok(self, listed, there, said):
        assert failing(listed) == (True, {})
        listed.root.execute(there.format(""))
        ok, found = failing(listed)
        assert not ok
        assert said in found["gives no way round its end"]

    @pytest.mark.parametrize("server", SERVER_ROLES)
    def test_a_role_that_reaches_the_servers_machine_is_not_ok(self, listed, server):
        listed.root.execute(f"GRANT {server} TO beyond")
        ok, found = failing(listed)
        assert not ok
        assert f"given is a member of {server}" in found["gives no way round its end"]

    def test_a_role_that_reaches_our_own_account_is_not_ok(self, ground15):
        with roles(ground15, f"GRANT {SERVICE} TO beyond"):
            ok, found = failing(ground15)
        assert not ok
        assert f"given is a member of {SERVICE}" in found["gives no way round its end"]

    @pytest.mark.parametrize(
        ("there", "said"),
        [
            ("ALTER ROLE given LOGIN", "given can log in"),
            ("ALTER ROLE beyond LOGIN", "given as beyond can log in"),
            ("ALTER ROLE beyond BYPASSRLS", "given as beyond passes row-level security by"),
        ],
    )
    def test_warns_of_a_log_in_and_of_what_passes_row_security_by(self, listed, there, said):
        listed.root.execute(there)
        ok, found = failing(listed)
        assert ok
        assert set(found) == {"gives no log-in"}
        assert said in found["gives no log-in"]


class TestProvision:
    @pytest.mark.parametrize(("there", "said"), WAYS_ROUND)
    def test_a_role_that_reaches_a_way_round_is_not_given(self, listed, there, said):
        spec = replace(listed.spec(), role_config={"member_of": "given"})
        listed.root.execute(there.format(""))
        with closing(listed.connector(allowed_roles=["given"])) as connector:
            with pytest.raises(Refused, match=said):
                connector.provision(spec)
            assert not listed.names()
            listed.root.execute(there.format("NO"))
            connector.provision(spec)
            connector.revoke([spec])


class TestSetUp:
    @pytest.mark.parametrize(("there", "said"), WAYS_ROUND)
    def test_refuses_a_role_that_reaches_a_way_round(self, ground, there, said):
        with roles(ground, there.format("")):
            done = set_up(ground)
        assert done.returncode != 0
        assert "may not be given" in done.stderr
        assert said in done.stderr

    @pytest.mark.parametrize("server", SERVER_ROLES)
    def test_refuses_a_role_that_reaches_the_servers_machine(self, ground, server):
        with roles(ground, f"GRANT {server} TO beyond"):
            done = set_up(ground)
        assert done.returncode != 0
        assert f"given as {server} acts on the server's machine" in done.stderr

    def test_warns_of_a_role_that_can_log_in(self, ground):
        with roles(ground, "ALTER ROLE beyond LOGIN"):
            done = set_up(ground)
            assert done.returncode == 0, done.stderr
            assert "the role given can log in" in done.stderr
            if ground.version == "15":
                ground.root.execute("DELETE FROM jit.allowed_role WHERE role = 'given'")

    def test_says_which_role_is_not_there(self, ground):
        done = set_up(ground)
        assert done.returncode != 0
        assert "there is no role given" in done.stderr

from __future__ import annotations

import datetime as dt
import os
import threading
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from jit.connectors.base import Context, Refused, Revoked, Unreachable
from tests.contracts.postgresql import SERVICE, makers, run_shipped


class TestProvision:
    def test_makes_the_person_the_role_and_keeps_their_name(self, ground, connector):
        issued = connector.provision(ground.spec())
        with closing(ground.log_in(issued.credential)) as session:
            run = session.connection.execute
            user, role = run("SELECT session_user::text, current_user::text").fetchone()
            assert (user, role) == (issued.credential["user"], "app_rw")

    def test_the_person_can_not_extend_or_pass_on_what_they_have(self, ground, connector):
        issued = connector.provision(ground.spec())
        user = sql.Identifier(issued.credential["user"])
        with closing(ground.log_in(issued.credential)) as session:
            for forbidden in (
                sql.SQL("ALTER ROLE {} VALID UNTIL 'infinity'").format(user),
                sql.SQL("GRANT app_rw TO payroll"),
                sql.SQL("SELECT * FROM salaries"),
                sql.SQL("CREATE ROLE jit_second LOGIN"),
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.connection.execute(forbidden)

    def test_the_psql_line_goes_where_the_credential_goes(self, ground, connector):
        config = {"member_of": "app_rw", "databases": ["warehouse"]}
        issued = connector.provision(replace(ground.spec(), role_config=config))
        assert issued.credential["database"] == "warehouse"
        assert "dbname=warehouse" in issued.credential["psql"]
        assert issued.credential["password"] not in issued.credential["psql"]

    def test_limits_how_many_connections_there_may_be(self, ground, connector):
        issued = connector.provision(ground.spec())
        sessions = [ground.log_in(issued.credential) for _ in range(6)]
        try:
            assert [session is not None for session in sessions] == [True] * 5 + [False]
        finally:
            for session in sessions[:5]:
                session.close()

    def test_refuses_a_role_that_is_not_allowed(self, ground, connector):
        with pytest.raises(Refused, match="allowed_roles"):
            connector.provision(replace(ground.spec(), role_config={"member_of": "payroll"}))
        assert not ground.names()

    @pytest.mark.parametrize("name", ["postgres", "jit_", "jit_UPPER", 'jit_x"; DROP', "payroll"])
    def test_refuses_a_name_that_is_not_ours(self, ground18, name):
        with closing(ground18.connector()) as connector:
            spec = replace(ground18.spec(), external_name=name)
            for call in (connector.provision, connector.extend, connector.cut):
                with pytest.raises(Refused, match="no name of ours"):
                    call(spec)
            (answer,) = connector.revoke([spec])
            assert isinstance(answer, Refused)

    def test_leaves_a_strangers_role_of_that_name_alone(self, ground, connector):
        spec = ground.spec()
        name = sql.Identifier(spec.external_name)
        ground.root.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'theirs'").format(name))
        with pytest.raises(Refused, match="not this grant's"):
            connector.provision(spec)
        (seen,) = connector.observe()
        assert seen.external_name == spec.external_name
        assert seen.deadline is None
        (answer,) = connector.revoke([spec])
        assert isinstance(answer, Refused)
        assert ground.names() == {spec.external_name}

    def test_refuses_an_older_generation(self, ground, connector):
        spec = ground.spec()
        connector.provision(replace(spec, generation=2))
        with pytest.raises(Refused, match="newer generation"):
            connector.provision(spec)

    def test_takes_a_hostile_name_for_a_name(self, ground, connector):
        spec = replace(ground.spec(), principal="o'hara'; DROP TABLE orders; -- \\ {} % $$")
        connector.provision(spec)
        (seen,) = connector.observe()
        assert seen.detail["principal"] == spec.principal

    def test_takes_a_role_with_an_awkward_name(self, ground18):
        ground18.root.execute('CREATE ROLE "App \\ ""RW""; --"')
        role = 'App \\ "RW"; --'
        try:
            run_shipped(ground18.target, "postgresql_16_setup.sql", roles=role)
            with closing(ground18.connector(allowed_roles=[role])) as connector:
                spec = replace(ground18.spec(), role_config={"member_of": role})
                issued = connector.provision(spec)
                with closing(ground18.log_in(issued.credential)) as session:
                    assert session.connection.execute("SELECT current_user").fetchone() == (role,)
                (answer,) = connector.revoke([spec])
                assert isinstance(answer, Revoked)
        finally:
            ground18.root.execute('DROP ROLE "App \\ ""RW""; --"')

    def test_spreads_the_roles_over_the_makers(self, ground18):
        with closing(ground18.connector()) as connector:
            for _ in range(12):
                connector.provision(ground18.spec())
        held = ground18.root.execute(
            "SELECT m.member::regrole::text, count(*) FROM pg_auth_members m"
            r" JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname LIKE 'jit\_%' GROUP BY 1"
        ).fetchall()
        assert all(name.startswith(f"{SERVICE}_maker_") for name, _ in held)
        assert sum(count for _, count in held) == 12
        assert len(held) > 3

    def test_works_with_createrole_alone_too(self, ground18):
        run = ground18.root.execute
        run(makers("NOCREATEROLE"))
        run(f"ALTER ROLE {SERVICE} CREATEROLE")
        try:
            with closing(ground18.connector()) as connector:
                plain, owning = ground18.spec(), ground18.spec()
                for spec in (plain, owning):
                    issued = connector.provision(spec)
                connector.extend(replace(plain, ends_at=plain.ends_at + dt.timedelta(seconds=9)))
                with closing(ground18.log_in(issued.credential, database="warehouse")) as session:
                    session.connection.execute("SET ROLE NONE; CREATE TABLE theirs ()")
                answers = connector.revoke([plain, owning])
                assert all(isinstance(answer, Revoked) for answer in answers), answers
        finally:
            run(makers("CREATEROLE"))
            run(f"ALTER ROLE {SERVICE} NOCREATEROLE")
            with psycopg.connect(ground18.target.dsn("warehouse"), autocommit=True) as root:
                root.execute("DROP TABLE IF EXISTS public.theirs")

    def test_two_workers_at_once_make_one_role(self, ground, connector):
        spec, issued = ground.spec(), []
        start = threading.Barrier(4)

        def work() -> None:
            start.wait()
            issued.append(connector.provision(spec))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ground.names() == {spec.external_name}
        assert [ground.lets_in(one.credential) for one in issued].count(True) == 1

    def test_keeps_the_password_from_the_server(self, ground, connector):
        issued = connector.provision(ground.spec())
        (verifier,) = ground.root.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [issued.credential["user"]]
        ).fetchone()
        assert verifier.startswith("SCRAM-SHA-256$")


class TestSuspend:
    def test_nobody_comes_in_and_it_can_be_undone(self, ground, connector):
        spec = ground.spec()
        credential = connector.provision(spec).credential
        with closing(ground.log_in(credential)) as session:
            found = connector.suspend(spec.external_name)
            assert not session.works()
        assert found == {"can_login": False, "connections_cut": 1, "connections_found": 0}
        assert not ground.lets_in(credential)
        ground.root.execute(f"ALTER ROLE {spec.external_name} LOGIN")
        assert ground.lets_in(credential)

    def test_refuses_what_does_not_bear_our_mark(self, ground, connector):
        ground.root.execute("CREATE ROLE jit_strange LOGIN")
        for name in ("jit_strange", "jit_gone", "payroll"):
            with pytest.raises(Refused):
                connector.suspend(name)
        assert "jit_strange" in ground.names()


class TestWires:
    def test_uses_a_connection_again(self, ground18):
        calls = []
        with closing(ground18.connector(Context(journal=calls.append))) as connector:
            connector.observe()
            connector.observe()
        assert [call.step for call in calls] == ["connect", "observe", "observe"]

    def test_a_forked_child_starts_with_none_of_its_parents(self, ground18, monkeypatch):
        calls = []
        with closing(ground18.connector(Context(journal=calls.append))) as connector:
            connector.observe()
            ((_, parents),) = connector.wires._idle
            monkeypatch.setattr(os, "getpid", lambda: -1)
            connector.observe()
            assert [call.step for call in calls] == ["connect", "observe"] * 2
            assert not parents.closed
            parents.close()

    def test_a_server_that_ended_our_connection_costs_one_new_one(self, ground18):
        with closing(ground18.connector()) as connector:
            connector.observe()
            ground18.root.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE usename = 'elevation_service'"
            )
            assert connector.observe() == []

    def test_a_missing_secret_says_which(self, ground18, monkeypatch):
        monkeypatch.delenv("JIT_TARGET_NONE", raising=False)
        with (
            closing(ground18.connector(password="env:JIT_TARGET_NONE")) as connector,
            pytest.raises(Unreachable, match="JIT_TARGET_NONE is not set"),
        ):
            connector.observe()

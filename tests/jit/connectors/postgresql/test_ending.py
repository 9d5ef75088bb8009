from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace

import psycopg
from psycopg import sql

from jit.connectors.base import Context, Residue, Revoked, Unreachable
from tests.contracts.ground import until

GIVING = "INSERT INTO jit.tombstone (name) VALUES (%s)"
"""What a provision holds until its commit."""


def _answer(connector, spec):
    (answer,) = connector.revoke([spec])
    return answer


class TestTidy:
    def test_hands_what_the_role_owns_to_the_escrow_role(self, ground, connector):
        spec = ground.spec()
        issued = connector.provision(spec)
        with closing(ground.log_in(issued.credential, database="warehouse")) as session:
            session.connection.execute("SET ROLE NONE")
            session.connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        with closing(ground.log_in(issued.credential)) as session:
            session.connection.execute("SET ROLE NONE")
            (large,) = session.connection.execute("SELECT lo_create(0)").fetchone()
        try:
            answer = _answer(connector, spec)
            assert isinstance(answer, Revoked), answer
            assert answer.evidence["reassigned"] == [
                f"large object {large} in postgres",
                "table public.kept in warehouse",
            ]
            assert not ground.names()
            with closing(self._warehouse(ground)) as root:
                owner = root.execute(
                    "SELECT tableowner, number FROM pg_tables, public.kept WHERE tablename = 'kept'"
                ).fetchone()
            assert owner == ("elevation_escrow", 7)
        finally:
            ground.root.execute("SELECT lo_unlink(%s)", [large])
            with closing(self._warehouse(ground)) as root:
                root.execute("DROP TABLE IF EXISTS public.kept")

    @staticmethod
    def _warehouse(ground):
        return psycopg.connect(ground.target.dsn("warehouse"), autocommit=True)

    def test_what_a_superuser_gave_besides_is_left_and_said_to_be_harmless(self, ground, connector):
        spec = ground.spec()
        issued = connector.provision(spec)
        ground.poison(spec.external_name)
        answer = _answer(connector, spec)
        assert isinstance(answer, Residue)
        assert not answer.permanent
        assert answer.evidence["neutralised"] is True
        assert answer.evidence["connections_found"] == 0
        assert answer.evidence["member_of"] == []
        (dependent,) = answer.evidence["dependents"]
        assert "salaries" in dependent
        assert not ground.lets_in(issued.credential)

    def test_what_stays_does_not_lend_its_rights_to_our_account(self, ground18):
        with closing(ground18.connector()) as connector:
            spec = ground18.spec()
            connector.provision(spec)
            ground18.poison(spec.external_name)
            assert isinstance(_answer(connector, spec), Residue)
        (can,) = ground18.root.execute(
            "SELECT pg_has_role('elevation_service', %s, 'SET')"
            " OR pg_has_role('elevation_service', %s, 'USAGE')",
            [spec.external_name] * 2,
        ).fetchone()
        assert can is False


class TestNeutralise:
    def test_a_membership_that_somebody_else_gave_ends_too(self, ground, connector):
        spec = ground.spec()
        connector.provision(spec)
        name = sql.Identifier(spec.external_name)
        ground.root.execute(sql.SQL("GRANT payroll TO {}").format(name))
        answer = _answer(connector, spec)
        assert isinstance(answer, Revoked), answer
        assert answer.evidence["memberships_removed"] == ["app_rw", "payroll"]
        assert not ground.names()

    def test_one_that_is_being_written_is_waited_for_and_stops_nobody(self, ground):
        with closing(ground.connector(Context(timeout_seconds=1))) as connector:
            busy, free = ground.spec(), ground.spec()
            connector.provision(busy)
            connector.provision(free)
            with ground.root.transaction(force_rollback=True):
                ground.root.execute(GIVING, [busy.external_name])
                first, second = connector.revoke([busy, free])
            assert isinstance(first, Unreachable)
            assert not first.permanent
            assert isinstance(second, Revoked)
            assert isinstance(_answer(connector, busy), Revoked)

    def test_waits_while_the_other_writer_finishes(self, ground):
        with closing(ground.connector()) as connector:
            spec = ground.spec()
            with ground.root.transaction(force_rollback=True):
                ground.root.execute(GIVING, [spec.external_name])
                answers = []
                worker = threading.Thread(target=lambda: answers.append(_answer(connector, spec)))
                worker.start()
                waiting = (
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
                )
                assert until(lambda: ground.root.execute(waiting).fetchone() == (1,), seconds=2)
            worker.join()
            assert isinstance(answers[0], Revoked)


class TestTrace:
    def test_reports_what_could_outlive_the_grant(self, ground, connector):
        ground.root.execute("GRANT CREATE ON SCHEMA public TO app_rw")
        before, during = ground.spec(), ground.spec()
        make = "CREATE FUNCTION public.{}() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
        try:
            issued = connector.provision(before)
            with closing(ground.log_in(issued.credential)) as session:
                session.connection.execute(make.format("old_door"))
            issued = connector.provision(during)
            with closing(ground.log_in(issued.credential)) as session:
                session.connection.execute(make.format("back_door"))
                session.connection.execute(
                    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC"
                )
            answer = _answer(connector, during)
            assert isinstance(answer, Revoked), answer
            assert answer.evidence["looked_in"] == ["postgres"]
            acl, function = answer.evidence["suspicious"]
            assert acl.startswith("default privileges all schemas: ")
            assert function == (
                "security definer function public.back_door() of app_rw in postgres"
            )
            both = _answer(connector, before)
            assert isinstance(both, Revoked)
            assert len(both.evidence["suspicious"]) == 3
        finally:
            ground.root.execute("DROP OWNED BY app_rw")
            ground.root.execute("GRANT SELECT, INSERT ON orders TO app_rw")

    def test_finds_nothing_where_nothing_was_left(self, ground, connector):
        spec = ground.spec()
        connector.provision(spec)
        answer = _answer(connector, spec)
        assert isinstance(answer, Revoked)
        assert answer.evidence["suspicious"] == []

    def test_a_database_that_is_gone_stops_no_revocation(self, ground, connector):
        config = {"member_of": "app_rw", "databases": ["long_gone"]}
        spec = replace(ground.spec(), role_config=config)
        connector.provision(spec)
        answer = _answer(connector, spec)
        assert isinstance(answer, Revoked)
        assert "long_gone" in answer.evidence["not_looked_in"]
        assert answer.evidence["looked_in"] == ["postgres"]

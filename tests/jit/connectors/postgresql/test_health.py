from __future__ import annotations

import datetime as dt
from contextlib import closing, contextmanager

import psycopg
import pytest

from jit.connectors.postgresql import health
from jit.kernel import clock
from tests.contracts.ground import until
from tests.contracts.postgresql import SERVICE, makers, run_shipped


def _failing(report):
    return {check.name: check for check in report.checks if not check.ok}


@contextmanager
def changed(ground, there: str, back: str):
    ground.root.execute(there)
    try:
        with closing(ground.connector()) as connector:
            yield connector
    finally:
        ground.root.execute(back)


class TestExamine:
    def test_finds_the_shipped_set_up_in_order(self, ground, connector):
        report = connector.health()
        assert report.ok
        assert _failing(report) == {}
        assert abs(report.skew_seconds) < 1
        assert report.as_json()["checks"][0]["name"] == "reachable"

    @pytest.mark.parametrize("seconds", [3, -3])
    def test_a_clock_that_is_off_is_not_ok(self, ground18, monkeypatch, seconds):
        there = clock.now
        off = dt.timedelta(seconds=seconds)
        monkeypatch.setattr(health.clock, "now", lambda: there() + off)
        with closing(ground18.connector()) as connector:
            report = connector.health()
        assert not report.ok
        assert set(_failing(report)) == {"clock"}
        assert report.skew_seconds == pytest.approx(-seconds, abs=0.5)

    def test_says_that_nobody_answers(self, ground18):
        with closing(ground18.connector(port=1)) as connector:
            report = connector.health()
        assert not report.ok
        assert report.skew_seconds is None
        assert [check.name for check in report.checks] == ["reachable"]

    def test_warns_of_a_superuser(self, ground18):
        with changed(
            ground18, f"ALTER ROLE {SERVICE} SUPERUSER", f"ALTER ROLE {SERVICE} NOSUPERUSER"
        ) as connector:
            report = connector.health()
        assert report.ok
        assert "superuser" in report.detail
        assert "not too much" in _failing(report)

    @pytest.mark.parametrize(
        ("there", "back", "name"),
        [
            (makers("NOCREATEROLE"), makers("CREATEROLE"), "can make roles"),
            (
                f"REVOKE app_ro FROM {SERVICE}",
                f"GRANT app_ro TO {SERVICE} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
                "can give",
            ),
            (
                f"REVOKE pg_signal_backend FROM {SERVICE}",
                f"GRANT pg_signal_backend TO {SERVICE} WITH INHERIT TRUE, SET FALSE",
                "can cut",
            ),
            (
                f"ALTER ROLE {SERVICE} SET default_transaction_read_only = on",
                f"ALTER ROLE {SERVICE} RESET default_transaction_read_only",
                "writable",
            ),
        ],
    )
    def test_too_little_or_too_dangerous_is_not_ok(self, ground18, there, back, name):
        with changed(ground18, there, back) as connector:
            report = connector.health()
        assert not report.ok
        assert name in _failing(report)

    @pytest.mark.parametrize(
        ("there", "back", "name"),
        [
            (
                f"GRANT app_ro TO {SERVICE} WITH SET TRUE",
                f"GRANT app_ro TO {SERVICE} WITH SET FALSE",
                "uses nothing itself",
            ),
            (
                f"REVOKE elevation_escrow FROM {SERVICE}",
                f"GRANT elevation_escrow TO {SERVICE} WITH INHERIT TRUE, SET TRUE",
                "escrow",
            ),
            (
                "ALTER TABLE jit.tombstone RENAME TO elsewhere",
                "ALTER TABLE jit.elsewhere RENAME TO tombstone",
                "tombstones",
            ),
            (
                f"REVOKE SELECT ON pg_hba_file_rules FROM {SERVICE}",
                f"GRANT SELECT ON pg_hba_file_rules TO {SERVICE}",
                "password log-ins only",
            ),
        ],
    )
    def test_what_is_only_untidy_warns(self, ground18, there, back, name):
        with changed(ground18, there, back) as connector:
            report = connector.health()
        assert report.ok
        assert set(_failing(report)) == {name}
        assert report.detail == _failing(report)[name].detail

    def test_warns_of_a_connection_whose_role_somebody_dropped(self, ground, connector):
        spec = ground.spec()
        issued = connector.provision(spec)
        with closing(ground.log_in(issued.credential)) as session:
            ground.lose(spec.external_name)
            report = connector.health()
            assert report.ok
            assert set(_failing(report)) == {"no connection without a role"}
            assert str(session.connection.info.backend_pid) in report.detail

    def test_wants_no_createrole_up_to_15(self, ground15):
        with changed(
            ground15, f"ALTER ROLE {SERVICE} CREATEROLE", f"ALTER ROLE {SERVICE} NOCREATEROLE"
        ) as connector:
            assert set(_failing(connector.health())) == {"no CREATEROLE"}

    def test_wants_the_role_on_the_definers_list(self, ground15):
        with closing(ground15.connector(allowed_roles=["app_rw", "payroll", "ghost"])) as connector:
            report = connector.health()
        assert not report.ok
        assert "no role ghost" in report.detail
        assert "jit.allowed_role to give payroll" in report.detail


class TestLoginTrigger:
    """VALID UNTIL is asked for by password log-ins alone; the optional trigger closes that."""

    @pytest.fixture
    def trusting(self, ground18):
        run = ground18.root.execute
        (path,) = run("SHOW hba_file").fetchone()
        (before,) = run("SELECT pg_read_file(%s)", [path]).fetchone()
        rule = "host all /^jit_ 127.0.0.1/32 trust\n"

        def write(text: str) -> None:
            run("SELECT lo_unlink(4242) FROM pg_largeobject_metadata WHERE oid = 4242")
            run("SELECT lo_from_bytea(4242, convert_to(%s, 'UTF8'))", [text])
            run("SELECT lo_export(4242, %s)", [path])
            run("SELECT lo_unlink(4242)")
            run("SELECT pg_reload_conf()")

        write(rule + before)
        yield ground18
        write(before)

    def _expire(self, ground, connector):
        issued = connector.provision(ground.spec())
        ground.root.execute(f"ALTER ROLE {issued.credential['user']} VALID UNTIL '2020-01-01'")
        return issued.credential

    def _connect(self, credential) -> None:
        host, port = credential["host"], int(credential["port"])
        psycopg.connect(host=host, port=port, dbname="postgres", user=credential["user"]).close()

    def _lets_in(self, credential) -> bool:
        """Say whether it gets in with no password at all."""
        try:
            self._connect(credential)
        except psycopg.OperationalError:
            return False
        return True

    def test_refuses_an_expired_role_that_needs_no_password(self, trusting):
        ground = trusting
        with closing(ground.connector()) as connector:
            late = self._expire(ground, connector)
            assert until(lambda: self._lets_in(late), seconds=5)  # the hole, once hba is reloaded
            report = connector.health()
            assert report.ok
            assert "past VALID UNTIL" in report.detail
            run_shipped(ground.target, "postgresql_17_login_trigger.sql")
            try:
                assert not self._lets_in(late)
                with pytest.raises(psycopg.OperationalError, match="has ended"):
                    self._connect(late)
                in_time = connector.provision(ground.spec())
                assert self._lets_in(in_time.credential)
                assert connector.health().detail == "all is well"
                psycopg.connect(ground.target.dsn()).close()
            finally:
                ground.root.execute("DROP EVENT TRIGGER jit_login_deadline")

"""What the application's database role may and may not."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.checks import CheckMessage
from django.db import connection, connections
from django.db.utils import OperationalError

from jit.ops import database_checks
from tests.support import servers

pytestmark = pytest.mark.django_db


def url(which: str, user: str | None = None) -> str:
    """Return the address of the test's own database for one of its roles."""
    parts = urlsplit(servers.ensure()[which])
    netloc = parts.netloc.replace("jit_owner", user) if user else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{connection.settings_dict['NAME']}"))


@pytest.fixture(scope="class")
def superuser(django_db_setup: None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url("superuser"), autocommit=True) as wire:
        yield wire


def ids_of(findings: list[CheckMessage]) -> set[str | None]:
    return {finding.id for finding in findings}


def ids(wire: psycopg.Connection) -> set[str | None]:
    return ids_of(database_checks.findings(wire.cursor()))


class TestFindings:
    def test_the_application_s_role_is_sound(self) -> None:
        with psycopg.connect(url("database", "jit_app")) as wire:
            assert ids(wire) == set()

    def test_the_owner_is_not(self) -> None:
        with psycopg.connect(url("database")) as wire:
            assert ids(wire) == {"jit.E021"}

    def test_a_superuser_is_not(self, superuser) -> None:
        assert "jit.E020" in ids(superuser)

    def test_nor_one_that_steps_down_for_show(self, superuser) -> None:
        with superuser.transaction(force_rollback=True):
            superuser.execute("SET LOCAL ROLE jit_app")
            assert ids(superuser) == {"jit.E020"}

    @pytest.mark.parametrize(
        "right",
        [
            "UPDATE ON audit_event",
            "UPDATE (body) ON audit_event",
            "DELETE ON audit_leaf",
            "TRUNCATE ON audit_node",
            "UPDATE ON audit_checkpoint",
        ],
    )
    def test_nor_one_that_may_rewrite_the_log(self, superuser, right) -> None:
        with superuser.transaction(force_rollback=True):
            superuser.execute(f"GRANT {right} TO jit_app")
            superuser.execute("SET LOCAL SESSION AUTHORIZATION jit_app")
            assert ids(superuser) == {"jit.E021"}

    def test_nor_one_that_may_become_the_owner(self, superuser) -> None:
        with superuser.transaction(force_rollback=True):
            superuser.execute("REVOKE jit_app FROM jit_owner")
            superuser.execute("GRANT jit_owner TO jit_app")
            superuser.execute("SET LOCAL SESSION AUTHORIZATION jit_app")
            assert ids(superuser) == {"jit.E021"}

    @pytest.mark.parametrize(
        "done",
        [
            "ALTER TABLE audit_event DISABLE TRIGGER append_only",
            "DROP TRIGGER no_truncate ON audit_leaf",
        ],
    )
    def test_sees_a_trigger_that_is_gone(self, superuser, done) -> None:
        with superuser.transaction(force_rollback=True):
            superuser.execute("SET LOCAL lock_timeout = '4s'")
            superuser.execute(done)
            superuser.execute("SET LOCAL SESSION AUTHORIZATION jit_app")
            assert ids(superuser) == {"jit.E022"}


class TestCheckPatience:
    def test_a_database_that_waits_for_ever_is_told(self) -> None:
        assert ids_of(database_checks.check_patience(databases=["default"])) == {"jit.W003"}
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'")
        assert database_checks.check_patience(databases=["default"]) == []

    def test_the_roles_are_set_up_not_to(self) -> None:
        with psycopg.connect(url("database", "jit_app")) as wire:
            told = wire.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert told == ("10s",)


class TestCheckDatabase:
    def test_asks_the_default_database_only(self) -> None:
        assert database_checks.check_database(databases=["default"]) == []
        assert database_checks.check_database(databases=["owner"]) == []
        assert database_checks.check_database() == []

    def test_what_can_not_be_asked_is_not_served(self, monkeypatch) -> None:
        def cursor() -> None:
            raise OperationalError("no route")

        monkeypatch.setattr(connections["default"], "cursor", cursor)
        (finding,) = database_checks.check_database(databases=["default"])
        assert finding.id == "jit.E023"


class TestCheckPolicy:
    def test_warns_while_no_policy_is_in_force(self) -> None:
        (finding,) = database_checks.check_policy(databases=["default"])
        assert (finding.id, finding.is_serious()) == ("jit.W001", False)

    def test_is_content_with_one(self, monkeypatch) -> None:
        monkeypatch.setattr(database_checks.policy, "active_digest", lambda: "a" * 64)
        assert database_checks.check_policy(databases=["default"]) == []

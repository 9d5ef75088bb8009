"""Fixtures of every test: after the migrations, queries run as the application's own role."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.postgresql.operations import DatabaseOperations


def _act_as(role: str | None) -> None:
    connection = connections["default"]
    connection.close()
    connection.settings_dict["OPTIONS"].pop("assume_role", None)
    if role:
        connection.settings_dict["OPTIONS"]["assume_role"] = role


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Make the test database as `jit_owner`, then let the tests run as `jit_app`.

    So a test sees what production sees: no UPDATE of an audit event, no TRUNCATE, no DDL.
    """
    with django_db_blocker.unblock():
        _act_as("jit_app")
    yield
    with django_db_blocker.unblock():
        _act_as(None)


@pytest.fixture(autouse=True, scope="session")
def _flush_as_owner() -> Iterator[None]:
    """Let Django empty the tables after a transactional test: the application itself may not."""
    flush = DatabaseOperations.execute_sql_flush

    def as_owner(self: DatabaseOperations, sql_list: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            try:
                flush(self, sql_list)
            finally:
                cursor.execute("SET ROLE jit_app")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", as_owner)
        yield


@pytest.fixture
def world(db: None) -> Any:
    """The demo's people, policy, tickets and roles, on a real PostgreSQL target."""
    from tests.support.world import World

    return World()


@pytest.fixture(scope="session")
def running() -> Iterator[Any]:
    """One installation in real processes for all tests that meet it from outside."""
    from tests.support import processes

    with processes.installation(**processes.QUICK) as installation:
        yield installation


@pytest.fixture(autouse=True, scope="session")
def _every_action_is_noted() -> Iterator[None]:
    """Note what is appended to the log, for the judgement at the end of a whole run."""
    from tests.support import actions_seen

    with actions_seen.recorded():
        yield


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a whole run that left an audit action (and so a move of a machine) unproduced."""
    if os.environ.get("JIT_TEST_WHOLE") != "1" or exitstatus != 0:
        return
    from tests.support import actions_seen

    missing = actions_seen.missing()
    if missing:
        sys.stderr.write(f"\nNo test produced these audit actions: {', '.join(missing)}\n")
        session.exitstatus = 1

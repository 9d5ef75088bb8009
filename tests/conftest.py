"""Fixtures of every test: after the migrations, queries run as the application's own role.

A whole run (JIT_TEST_WHOLE) also says what no test produced, and with 1 fails for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import HealthCheck, settings

# How fast this machine is at the moment says nothing about the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


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
    """Let Django empty the tables after a transactional test: the application itself may not.
    The log goes with them: whichever test comes next begins with none.
    """
    from tests.support import emptied

    flush = DatabaseOperations.execute_sql_flush

    def as_owner(self: DatabaseOperations, sql_list: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            try:
                flush(self, sql_list)
            finally:
                cursor.execute("SET ROLE jit_app")
        emptied.log()

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
    """One installation in real processes. Folders that need it much have their own, which ends
    with them: even an idle one costs a tenth of a core.
    """
    from tests.support import installed

    yield from installed.shared()


@pytest.fixture(autouse=True, scope="session")
def _every_action_is_noted() -> Iterator[None]:
    """Note what is appended to the log, for the judgement at the end of a whole run."""
    from tests.support import actions_seen

    with actions_seen.recorded():
        yield


@pytest.fixture(autouse=True, scope="session")
def _every_guard_stands_on_its_row() -> Iterator[None]:
    """Refuse every UPDATE of the product that looks for its guard in a sub-select."""
    from tests.support import guarding

    with guarding.everywhere():
        yield


@pytest.fixture(autouse=True, scope="session")
def _every_answer_is_as_described() -> Iterator[None]:
    """Hold what the REST interface sends, and takes, against docs/openapi.yaml."""
    from tests.support import described

    with described.everywhere():
        yield


@pytest.fixture(autouse=True)
def _no_guard_was_elsewhere() -> Iterator[None]:
    from tests.support import guarding

    yield
    refused = guarding.refused.copy()
    guarding.refused.clear()
    assert refused == []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.support import sharing

    return sharing.ByGroup(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    from tests.support import sharing

    yield
    sharing.put_long_ones_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what one of the processes that share the tests has seen."""
    from tests.support import actions_seen

    actions_seen.note(getattr(node, "workeroutput", {}).get("actions", []))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Name the audit actions and the moves of machines that a whole run left unproduced; leave
    no folder behind.
    """
    from tests.support import actions_seen, folders

    folders.remove()
    sharing_with = getattr(session.config, "workeroutput", None)
    if sharing_with is not None:
        sharing_with["actions"] = [list(move) for move in actions_seen.seen]
    elif "JIT_TEST_WHOLE" in os.environ and (missing := actions_seen.missing()):
        said = "\n  ".join(missing)
        sys.stderr.write(f"\nNo test produced these; write one for each:\n  {said}\n")
        if os.environ["JIT_TEST_WHOLE"] == "1" and exitstatus == 0:
            session.exitstatus = 1

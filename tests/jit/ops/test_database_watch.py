"""A worker that lost its way to the database ends; one whose database restarts does not."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from django.db import DataError, OperationalError

from jit.ops import database_watch
from tests.support.servers import ROOT

WATCHES = """
    import os, sys, time
    from django.conf import settings
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": "127.0.0.1", "PORT": "1", "NAME": "x"}})
    import django
    django.setup()
    from jit.ops.database_watch import Watch
    Watch(patience=0.5, every=0.1).begin()
    time.sleep(30)
"""


class TestWatch:
    def test_ends_a_process_whose_database_stays_away(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(WATCHES)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 75, done.stderr
        assert "has not answered" in done.stderr


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(database_watch, "end", said.append)
    monkeypatch.setattr(database_watch, "FAILING_FOR", 0.0)
    database_watch._streak.count = 0
    return said


@pytest.mark.django_db
class TestStreak:
    def test_of_one_thread_ends_its_process_while_the_database_answers_others(self, ends) -> None:
        for _ in range(database_watch.IN_A_ROW - 1):
            database_watch._failed(exception=OperationalError("the connection is lost"))
        assert not ends
        database_watch._failed(exception=OperationalError("the connection is lost"))
        assert len(ends) == 1

    def test_does_not_count_while_the_database_is_away(self, ends, monkeypatch) -> None:
        monkeypatch.setattr(database_watch, "_answers_a_newcomer", lambda: False)
        for _ in range(3 * database_watch.IN_A_ROW):
            database_watch._failed(exception=OperationalError("refused"))
        assert not ends

    @pytest.mark.parametrize("between", [None, DataError("a bug of ours"), ValueError("a bug")])
    def test_is_broken_by_whatever_else_a_task_came_to(self, ends, between) -> None:
        for _ in range(3):
            for _ in range(database_watch.IN_A_ROW - 1):
                database_watch._failed(exception=OperationalError("the connection is lost"))
            if between is None:
                database_watch._succeeded()
            else:
                database_watch._failed(exception=between)
        assert not ends

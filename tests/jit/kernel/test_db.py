"""Rows without number are deleted in parts."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jit.kernel import clock, db
from jit.ops import tasks

pytestmark = pytest.mark.django_db


def browser_sessions(*, over: int, live: int) -> None:
    now = clock.now()
    Session.objects.bulk_create(
        Session(session_key=f"{word}{n}", expire_date=now + dt.timedelta(hours=hours))
        for word, count, hours in (("over", over, -1), ("live", live, 1))
        for n in range(count)
    )


class TestDeleteInParts:
    def test_deletes_all_of_them_so_many_at_a_time(self) -> None:
        browser_sessions(over=25, live=1)
        over = Session.objects.filter(session_key__startswith="over")
        with CaptureQueriesContext(connection) as seen:
            assert db.delete_in_parts(over, part=10) == 25
        deletes = [each for each in seen.captured_queries if each["sql"].startswith("DELETE")]
        assert len(deletes) == 3
        assert Session.objects.count() == 1
        assert db.delete_in_parts(over, part=10) == 0


class TestClearSessions:
    def test_keeps_those_that_are_not_over(self) -> None:
        browser_sessions(over=3, live=2)
        tasks.clear_sessions()
        assert sorted(Session.objects.values_list("session_key", flat=True)) == ["live0", "live1"]

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from sessions.operations import lifecycle
from sessions.operations.lifecycle import Closing
from sessions.states import ClosedBecause
from tests.sessions import used
from tests.support.processes import until
from tests.support.world import World


def somebody_waits_for_a_row() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
class TestCloseMany:
    def test_closes_one_that_goes_live_at_that_moment(self, world: World):
        """A command that was over before its session was LIVE stayed open for ever."""
        session = used.opened(world.grant(), live=False)
        moved, go_on = threading.Event(), threading.Event()

        def goes_live() -> None:
            with transaction.atomic():
                lifecycle.went_live(session_id=session.pk)
                moved.set()
                go_on.wait(5)
            connections.close_all()

        def closes() -> int:
            closing = Closing(session_id=session.pk, because=ClosedBecause.LOGOUT)
            try:
                return lifecycle.close_many(closings=[closing])
            finally:
                connections.close_all()

        with ThreadPoolExecutor(2) as pool:
            going = pool.submit(goes_live)
            assert moved.wait(5)
            closing = pool.submit(closes)
            until(somebody_waits_for_a_row, seconds=5)
            go_on.set()
            going.result(5)
            assert closing.result(5) == 1
        session.refresh_from_db()
        assert session.state == "CLOSED"

"""A server goes away; what must end still ends, and nothing is given that must not be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from tests.journeys.test_elevation import is_cut
from tests.support.processes import READER, WRITER, Running, until


@pytest.fixture
def whole(jit: Running) -> Iterator[Running]:
    """Whatever a test killed runs again after it."""
    yield jit
    for name in ("valkey", "target", "worker", "beat"):
        jit.revive(name)


@contextmanager
def away(jit: Running, how: str) -> Iterator[None]:
    """Valkey is gone for a while, or takes connections and answers nobody."""
    valkey = jit.pid("valkey")
    if how == "killed":
        jit.kill("valkey")
    else:
        os.kill(valkey, signal.SIGSTOP)
    try:
        yield
    finally:
        if how == "killed":
            jit.start("valkey")
        else:
            os.kill(valkey, signal.SIGCONT)


class TestValkey:
    def test_gone_delays_no_end(self, whole: Running) -> None:
        jit = whole
        _, grant_id = jit.active(duration_seconds=10)
        connection = jit.log_in(jit.credential(grant_id))
        jit.kill("valkey")
        assert jit.rita.get("me/").status_code == 200
        until(lambda: _passed(jit, grant_id), seconds=60)
        with pytest.raises(psycopg.OperationalError):  # the target holds the deadline itself
            jit.log_in({**_address(jit), "user": _name(grant_id), "password": "whatever"})
        # Without a broker no worker hears of it; the clock sees to it by itself.
        ended = jit.wait(grant_id, "ENDED", seconds=90)
        assert ended["end_reason"] == "expired"
        assert is_cut(connection)
        assert _name(grant_id) not in jit.roles()
        jit.everything_is_in_order()

    def test_gone_while_asking_is_caught_up_by_the_sweep(self, whole: Running) -> None:
        jit = whole
        jit.kill("valkey")
        asked = jit.rita.ask(READER)
        assert asked.status_code == 201, asked.text
        grant_id = asked.json()["grant"]["id"]
        assert jit.rita.grant(grant_id)["state"] == "SCHEDULED"
        jit.start("valkey")
        jit.wait(grant_id, "ACTIVE", seconds=15)
        jit.give_back(grant_id)

    def test_gone_with_messages_in_hand_ends_no_worker(self, whole: Running) -> None:
        jit = whole
        _, ending = jit.active(duration_seconds=10)
        until(lambda: _passed(jit, ending, ahead=1))  # its end is in the worker's hands by now
        jit.kill("valkey")
        until(lambda: _passed(jit, ending))
        jit.start("valkey")
        jit.wait(ending, "ENDED", seconds=15)
        _, grant_id = jit.active(READER)
        assert jit.is_running("worker")  # the same: nobody started another
        jit.give_back(grant_id)

    def test_gone_when_the_clock_starts_delays_no_end(self, whole: Running) -> None:
        jit = whole
        _, grant_id = jit.active(duration_seconds=10)
        connection = jit.log_in(jit.credential(grant_id))
        for name in ("valkey", "beat"):
            jit.kill(name)
        jit.start("beat")
        jit.wait(grant_id, "ENDED", seconds=60)
        assert is_cut(connection)

    @pytest.mark.parametrize("how", ["killed", "frozen"])
    def test_that_stays_away_leaves_nothing_to_who_leaves(self, whole: Running, how: str) -> None:
        jit = whole
        leo = jit.newcomer(f"leo-{how}")
        request_id = leo.ask(WRITER, "OPS-3").json()["id"]
        grant_id = jit.ada.decide(request_id).json()["grant"]["id"]
        jit.wait(grant_id, "ACTIVE", by="olga")
        with ThreadPoolExecutor(1) as operator:
            with away(jit, how):
                disabling = operator.submit(jit.manage, "account", leo.name, "--disable")
                ended = jit.wait(grant_id, "ENDED", by="olga", seconds=60)
            disabling.result()
        assert ended["end_reason"] == "requester-left"
        _, another = jit.active(READER)
        jit.give_back(another)

    def test_frozen_lets_people_ask_and_approve(self, whole: Running) -> None:
        jit = whole
        with away(jit, "frozen"):
            asked = jit.rita.ask(WRITER)
            assert asked.status_code == 201, asked.text
            decided = jit.ada.decide(asked.json()["id"])
            assert decided.status_code == 201, decided.text
        grant_id = decided.json()["grant"]["id"]
        jit.wait(grant_id, "ACTIVE", seconds=30)
        jit.give_back(grant_id)


class TestTarget:
    def test_gone_at_the_end_is_tried_again_until_it_is_seen(self, whole: Running) -> None:
        jit = whole
        _, grant_id = jit.active()
        connection = jit.log_in(jit.credential(grant_id))
        jit.kill("target")
        assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
        until(
            lambda: jit.rows("SELECT rang_at FROM elevation_grant WHERE id = %s", grant_id)[0][0],
            seconds=90,
        )
        stuck = jit.rita.grant(grant_id)
        assert stuck["state"] == "REVOKING"
        assert stuck["last_error"]
        events = jit.udo.get("audit/events/", grant=grant_id, action="grant.revocation-stuck")
        assert len(events.json()["items"]) == 1
        jit.start("target")
        ended = jit.wait(grant_id, "ENDED", seconds=90)
        assert ended["evidence"]["roles_found"] == 0
        assert is_cut(connection)
        assert _name(grant_id) not in jit.roles()

    def test_gone_at_the_start_is_tried_again(self, whole: Running) -> None:
        jit = whole
        jit.kill("target")
        grant_id = jit.rita.ask(READER).json()["grant"]["id"]
        until(lambda: jit.rita.grant(grant_id)["last_error"], seconds=60)
        assert jit.rita.grant(grant_id)["state"] == "ACTIVATING"
        jit.start("target")
        jit.wait(grant_id, "ACTIVE", seconds=90)
        assert jit.roles() >= {_name(grant_id)}
        jit.give_back(grant_id)


class TestSeveral:
    def test_workers_and_beats_are_safe_together(self, jit: Running) -> None:
        jit.add("worker-2", "worker")
        jit.add("beat-2", "beat")
        try:
            _, first = jit.active(READER)
            _, second = jit.active(WRITER)
            for grant_id in (first, second):
                assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
            for grant_id in (first, second):
                ended = jit.wait(grant_id, "ENDED")
                steps = [attempt["step"] for attempt in ended["attempts"]]
                assert steps.count("provision") == steps.count("revoke") == 1
            jit.kill("beat")
            _, third = jit.active(READER)
            jit.give_back(third)
        finally:
            jit.stop("worker-2")
            jit.stop("beat-2")
            if not jit.is_running("beat"):
                jit.start("beat")
        jit.everything_is_in_order()


def _name(grant_id: str) -> str:
    return f"jit_{grant_id.replace('-', '')}"


def _address(jit: Running) -> dict[str, object]:
    return {"host": jit.superuser["host"], "port": jit.superuser["port"], "database": "orders"}


def _passed(jit: Running, grant_id: str, *, ahead: float = 0) -> bool:
    query = (
        "SELECT ends_at <= clock_timestamp() + %s * interval '1 second'"
        " FROM elevation_grant WHERE id = %s"
    )
    return bool(jit.rows(query, ahead, grant_id)[0][0])

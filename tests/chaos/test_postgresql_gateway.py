"""The PostgreSQL gateway is killed in mid-query: the record says so, and the target lets go."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.processes import Running, until

MARKER = "the last statement before the end"
SLEEPS = "SELECT pg_sleep(300)"
LETS_GO_WITHIN = 10.0
"""Seconds in which a target that nobody answers any more ends the query by itself."""


def through_gateway(jit: Running, grant_id: str) -> psycopg.Connection[Any]:
    shown = jit.credential(grant_id)
    # Whoever ended the gateway before has started it again, and may not have waited for it.
    until(lambda: listens(shown["host"], int(shown["port"])), seconds=60)
    return psycopg.connect(
        host=shown["host"], port=shown["port"], dbname=shown["database"], user=shown["user"],
        password=shown["password"], sslmode=shown["sslmode"], sslrootcert=shown["sslrootcert"],
        autocommit=True, connect_timeout=10,
    )  # fmt: skip


def listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=5):
        return True
    return False


def backends(jit: Running, name: str) -> list[str]:
    """Return what the grant's own backends on the target are doing."""
    with jit.target() as root:
        rows = root.execute("SELECT query FROM pg_stat_activity WHERE usename = %s", [name])
        return [str(query) for (query,) in rows]


def sealed(jit: Running, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: jit.udo.get(f"sessions/{session_id}/").json(),
        lambda seen: seen["state"] == "SEALED",
        seconds=60,
    )
    return found


def statements(jit: Running, session_id: str) -> str:
    """Return all that the sealed recording holds, as text."""
    lines = jit.udo.get(f"sessions/{session_id}/recording/").text.splitlines()[1:]
    return "\n".join(str(event[2]) for event in map(json.loads, lines))


def asleep(connection: psycopg.Connection[Any]) -> threading.Thread:
    """Let a query run on this connection that only the target's end of it can end."""

    def sleep() -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute(SLEEPS)

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    return thread


@pytest.mark.chaos
class TestKill:
    def test_seals_what_there_is_with_its_gap_and_leaves_no_query_running(self, jit: Running):
        _, grant_id = jit.active()
        name = f"jit_{UUID(grant_id).hex}"
        connection = through_gateway(jit, grant_id)
        try:
            connection.execute("SELECT %s::text", [MARKER])
            running = asleep(connection)
            until(lambda: SLEEPS in backends(jit, name))
            (session,) = jit.udo.get("sessions/", state="LIVE").json()["items"]
            until(lambda: pieces_of(jit, session["id"]) > 0)
            jit.kill("gateway")
            running.join(20)
            assert not running.is_alive(), "the client was left hanging"
            until(lambda: not backends(jit, name), seconds=LETS_GO_WITHIN)
        finally:
            connection.close()
            jit.start("gateway")
        found = sealed(jit, session["id"])
        assert found["closed_because"] == "lost"
        recording = found["recording"]
        assert recording["standing"] == "incomplete"
        assert any("breaks off" in problem for problem in recording["problems"]), recording
        assert MARKER in statements(jit, session["id"])
        ended = jit.give_back(grant_id)
        assert ended["end_reason"] == "returned"
        assert backends(jit, name) == []
        assert name not in jit.roles()

    def test_a_grant_that_ends_while_the_gateway_is_dead_is_cut_all_the_same(self, jit: Running):
        """Whoever tells the target not to look for its client gains nothing: the connector cuts."""
        _, grant_id = jit.active()
        name = f"jit_{UUID(grant_id).hex}"
        connection = through_gateway(jit, grant_id)
        try:
            connection.execute("SET client_connection_check_interval = 0")
            running = asleep(connection)
            until(lambda: SLEEPS in backends(jit, name))
            jit.kill("gateway")
            assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
            until(lambda: not backends(jit, name), seconds=LETS_GO_WITHIN)
            running.join(20)
            assert not running.is_alive()
        finally:
            connection.close()
            jit.start("gateway")
        jit.wait(grant_id, "ENDED")
        assert name not in jit.roles()
        jit.everything_is_in_order()


def pieces_of(jit: Running, session_id: str) -> int:
    """Return how much of a live recording is on the gateway's disk, by the books."""
    recording = jit.udo.get(f"sessions/{session_id}/").json()["recording"]
    return int(recording["pieces"]) if recording else 0

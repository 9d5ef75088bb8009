"""What the processes stand on fails in each way, and all works again soon (docs/failures.md).

Between each program and what it uses are wires that the test holds (tests.support.wire): those of
all programs fail together, or those of one alone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests

from tests.chaos.test_postgresql_gateway import through_gateway
from tests.support import installed
from tests.support.processes import READER, Running, until
from tests.support.visiting import grant, ssh

HELD = 8.0
"""Seconds for which something stays broken: longer than a look, shorter than anybody's patience."""
SOON = 60.0
"""Seconds within which everything works again."""
PROCESSES = ("web", "worker", "background", "beat", "gateway")

type Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def wired() -> Iterator[Running]:
    yield from installed.shared(wired="yes")


@pytest.fixture
def jit(wired: Running) -> Iterator[Running]:  # The package's own has no wires.
    wired.clear()
    yield wired
    for name in ("database", "valkey", "target"):
        wired.wire(name, "through")
    for name in PROCESSES:
        wired.revive(name)


def page_opens(jit: Running) -> bool:
    with contextlib.suppress(requests.RequestException):
        return jit.rita.get("me/").status_code == 200
    return False


def hold(jit: Running) -> None:
    """Let it stay broken for a while, in which people go on asking for pages."""
    until_then = time.monotonic() + HELD
    with ThreadPoolExecutor(4) as people:
        asked = [people.submit(page_opens, jit) for _ in range(4)]
        until(lambda: time.monotonic() > until_then)
    assert all(each.done() for each in asked)


def everything_works(jit: Running, folder: Path) -> str:
    """Check web, workers, beat and both gateways, each by what it is there for; return what took
    how long.
    """
    began = time.monotonic()
    until(lambda: page_opens(jit), seconds=SOON)
    opened = time.monotonic() - began
    _, grant_id = jit.active(READER)
    active = time.monotonic() - began
    swept = "SELECT at > clock_timestamp() - interval '5 seconds' FROM elevation_heartbeat"
    until(lambda: jit.rows(swept) == [(True,)], seconds=SOON)
    until(lambda: comes_in_by_psql(jit, grant_id), seconds=SOON)
    host = grant(jit)
    until(lambda: comes_in_by_ssh(jit, host, folder), seconds=SOON)
    through = time.monotonic() - began
    for each in (grant_id, host):
        jit.give_back(each)
    took = time.monotonic() - began
    until(lambda: everything_is_sealed(jit), seconds=SOON)
    sealed = time.monotonic() - began
    assert active <= SOON
    jit.everything_is_in_order()
    return (
        f"page {opened:.1f} s, grant {active:.1f} s, gateways {through:.1f} s, ended {took:.1f} s,"
        f" sealed {sealed:.1f} s"
    )


def everything_is_sealed(jit: Running) -> bool:
    """Return whether the background's work is done: no session and no event waits for its seal."""
    waiting = "SELECT count(*) FROM jit_sessions_accesssession WHERE state = 'CLOSED'"
    newest = "SELECT max(at) > clock_timestamp() - interval '15 seconds' FROM audit_checkpoint"
    return jit.rows(waiting) == [(0,)] and jit.rows(newest) == [(True,)]


def comes_in_by_psql(jit: Running, grant_id: str) -> bool:
    with contextlib.suppress(psycopg.Error), through_gateway(jit, grant_id) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)
    return False


def comes_in_by_ssh(jit: Running, grant_id: str, folder: Path) -> bool:
    with ssh(jit, grant_id, "echo came in", folder) as person:
        assert person.stdout is not None
        return b"came in" in person.stdout.read()


@pytest.mark.chaos
class TestServer:
    @pytest.mark.parametrize("how", ["frozen", "refused", "slow", "moved"])
    @pytest.mark.parametrize("server", ["database", "valkey", "target"])
    def test_that_failed_is_got_over(
        self, jit: Running, tmp_path: Path, server: str, how: str, record_property: Record
    ) -> None:
        jit.wire(server, how)
        hold(jit)
        if how != "moved":
            jit.wire(server, "through")
        record_property("healed", everything_works(jit, tmp_path))

    @pytest.mark.parametrize("how", ["frozen", "refused"])
    def test_a_database_that_is_away_delays_no_end_on_the_target(
        self, jit: Running, tmp_path: Path, how: str
    ) -> None:
        """The target holds the deadline itself; the books are told afterwards."""
        _, grant_id = jit.active(READER, duration_seconds=10)
        jit.wire("database", how)
        hold(jit)
        hold(jit)
        with jit.target() as root:
            (opens,) = root.execute(
                "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'jit\\_%' AND rolcanlogin"
                " AND rolvaliduntil > now()"
            ).fetchone() or (1,)
        assert opens == 0
        jit.wire("database", "through")
        jit.wait(grant_id, "ENDED", seconds=SOON)


@pytest.mark.chaos
class TestProcess:
    @pytest.mark.parametrize("name", PROCESSES)
    def test_that_was_frozen_goes_on(
        self, jit: Running, tmp_path: Path, name: str, record_property: Record
    ) -> None:
        process = jit.pid(name)
        os.kill(process, signal.SIGSTOP)
        try:
            until_then = time.monotonic() + HELD
            until(lambda: time.monotonic() > until_then)
        finally:
            os.kill(process, signal.SIGCONT)
        record_property("healed", everything_works(jit, tmp_path))

    @pytest.mark.parametrize("name", PROCESSES)
    def test_that_was_killed_is_replaced(
        self, jit: Running, tmp_path: Path, name: str, record_property: Record
    ) -> None:
        jit.kill(name)
        jit.start(name)
        record_property("healed", everything_works(jit, tmp_path))

    @pytest.mark.parametrize("how", ["frozen", "refused", "moved"])
    @pytest.mark.parametrize("server", ["database", "valkey"])
    @pytest.mark.parametrize("name", PROCESSES)
    def test_that_is_cut_off_alone_delays_no_end(
        self,
        jit: Running,
        tmp_path: Path,
        name: str,
        server: str,
        how: str,
        record_property: Record,
    ) -> None:
        """The others go on, and it is well again once it is let."""
        _, grant_id = jit.active(READER, duration_seconds=10)
        jit.wire(server, how, of=name)
        state = "SELECT state, clock_timestamp() - ends_at FROM elevation_grant WHERE id = %s"
        (_, late) = until(
            lambda: jit.rows(state, grant_id)[0], lambda row: row[0] == "ENDED", seconds=SOON
        )
        if how != "moved":
            jit.wire(server, "through", of=name)
        healed = everything_works(jit, tmp_path)
        record_property("healed", f"ended {late.total_seconds():.1f} s late; {healed}")

"""What the processes stand on fails in each way, and all works again soon (docs/failures.md).

Between the programs and what they use are wires that the test holds (tests.support.wire).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
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
PROCESSES = ("web", "worker", "beat", "gateway")


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


def everything_works(jit: Running, folder: Path, *, what: str) -> None:
    """Check web, worker, beat and both gateways, each by what it is there for."""
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
    sys.stderr.write(
        f"\n{what}: page {opened:.1f} s, grant {active:.1f} s, gateways {through:.1f} s,"
        f" ended {took:.1f} s\n"
    )
    assert active <= SOON
    jit.everything_is_in_order()


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
        self, jit: Running, tmp_path: Path, server: str, how: str
    ) -> None:
        jit.wire(server, how)
        hold(jit)
        if how != "moved":
            jit.wire(server, "through")
        everything_works(jit, tmp_path, what=f"{server} {how}")

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
    def test_that_was_frozen_goes_on(self, jit: Running, tmp_path: Path, name: str) -> None:
        process = jit.pid(name)
        os.kill(process, signal.SIGSTOP)
        try:
            until_then = time.monotonic() + HELD
            until(lambda: time.monotonic() > until_then)
        finally:
            os.kill(process, signal.SIGCONT)
        everything_works(jit, tmp_path, what=f"{name} frozen")

    @pytest.mark.parametrize("name", PROCESSES)
    def test_that_was_killed_is_replaced(self, jit: Running, tmp_path: Path, name: str) -> None:
        jit.kill(name)
        jit.start(name)
        everything_works(jit, tmp_path, what=f"{name} killed")

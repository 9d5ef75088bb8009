"""A process that is frozen or cut off in a transaction keeps nobody from ending privilege."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jit.ops.embedded import ground
from tests.support.processes import READER, ROOT, Running, until
from tests.support.wire import Wire

HOLDS = """
import sys, uuid, django
django.setup()
from django.db import transaction
from jit.elevation import queries
print("ready", flush=True)
sys.stdin.readline()
with transaction.atomic():
    queries.lock_grant(uuid.UUID(sys.argv[1]))
    print("holds", flush=True)
    sys.stdin.read()
"""
LETS_GO_WITHIN = 10.0
"""What the database is told (jit/keepalive.py)."""
AHEAD = 3
"""Seconds before its end from which a grant's row is held."""
PASSED = (
    "SELECT ends_at <= clock_timestamp() + %s * interval '1 second' FROM elevation_grant"
    " WHERE id = %s"
)


@contextmanager
def somebody_holding(jit: Running, grant_id: str, how: str) -> Iterator[None]:
    """Let a process of ours lock the grant's row a moment before its end, and be frozen, or cut off,
    while it does.
    """
    port = int(jit.database["port"])
    wire = Wire(ground.free_port(), port)
    url = jit.environment["DATABASE_URL"].replace(f":{port}/", f":{wire.port}/")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, grant_id],
        cwd=ROOT,
        env=jit.environment | {"DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            until(lambda: jit.rows(PASSED, AHEAD, grant_id)[0][0])
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "holds\n"
            if how == "frozen":
                os.kill(process.pid, signal.SIGSTOP)
            else:
                wire.become("frozen")  # Nothing is heard of it, and both ends stay open.
            yield
        finally:
            process.kill()
            wire.close()


@pytest.mark.chaos
class TestHeldLock:
    @pytest.mark.parametrize("how", ["frozen", "cut off"])
    def test_a_process_frozen_in_a_transaction_keeps_no_grant_past_its_end(
        self, jit: Running, how: str
    ) -> None:
        _, grant_id = jit.active(READER, duration_seconds=30)
        with somebody_holding(jit, grant_id, how):
            until(lambda: jit.rows(PASSED, -1, grant_id)[0][0])
            assert jit.rita.grant(grant_id)["state"] == "ACTIVE", "nobody held its row"
            jit.wait(grant_id, "ENDED", seconds=LETS_GO_WITHIN + 5)
        jit.everything_is_in_order()

"""A process that is frozen or cut off in a transaction keeps nobody from ending privilege."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

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
with transaction.atomic():
    queries.lock_grant(uuid.UUID(sys.stdin.readline().strip()))
    print("holds", flush=True)
    sys.stdin.read()
"""
LETS_GO_WITHIN = 10.0
"""What the database is told (jit/keepalive.py)."""
STATE = """
SELECT state, ends_at - interval '3 seconds' <= clock_timestamp() AS soon,
    ends_at + interval '1 second' <= clock_timestamp() AS over
FROM elevation_grant WHERE id = %s
"""


class Holder:
    """A process of ours that locks a grant's row and then is frozen, or cut off."""

    def __init__(self, jit: Running) -> None:
        port = int(jit.database["port"])
        self._wire = Wire(ground.free_port(), port)
        url = jit.environment["DATABASE_URL"].replace(f":{port}/", f":{self._wire.port}/")
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDS],
            cwd=ROOT,
            env=jit.environment | {"DATABASE_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._says() == "ready\n"

    def hold(self, grant_id: str, how: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{grant_id}\n")
        self._process.stdin.flush()
        assert self._says() == "holds\n"
        if how == "frozen":
            os.kill(self._process.pid, signal.SIGSTOP)
        else:
            self._wire.become("frozen")  # Nothing is heard of it, and both ends stay open.

    def _says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._wire.close()


@pytest.fixture
def holder(jit: Running) -> Iterator[Holder]:
    it = Holder(jit)
    yield it
    it.close()


@pytest.mark.chaos
class TestHeldLock:
    @pytest.mark.parametrize("how", ["frozen", "cut off"])
    def test_a_process_frozen_in_a_transaction_keeps_no_grant_past_its_end(
        self, jit: Running, holder: Holder, how: str
    ) -> None:
        _, grant_id = jit.active(READER, duration_seconds=20)
        until(lambda: jit.rows(STATE, grant_id)[0][1])
        holder.hold(grant_id, how)
        (state, _, _) = until(lambda: jit.rows(STATE, grant_id)[0], lambda row: row[2])
        assert state == "ACTIVE", "nobody held its row"
        until(
            lambda: jit.rows(STATE, grant_id)[0],
            lambda row: row[0] == "ENDED",
            seconds=LETS_GO_WITHIN + 10,
        )
        jit.everything_is_in_order()

"""The database goes away under processes that are idle; whoever used it uses it again."""

from __future__ import annotations

import os
import signal

from tests.support.processes import READER, Running, until

SOON = 20.0
"""Seconds from the database's return until a grant works, and until it is gone again."""


def kill_the_postmaster(jit: Running) -> None:
    """End it by SIGKILL, with every connection there is, and start it anew. The tests' servers
    commit without waiting for their log: what was told as done is brought to it first.
    """
    jit.rows("SELECT pg_switch_wal()")
    postmaster = jit.pid("database")
    os.kill(postmaster, signal.SIGKILL)
    until(lambda: not jit.is_running("database"))
    jit.start("database")


class TestKilled:
    def test_a_worker_never_gets_over_lost_connections(self, jit: Running) -> None:
        _, grant_id = jit.active(READER)  # Every thread of the worker has had work by its end.
        jit.give_back(grant_id)
        worker, web = jit.pid("worker"), jit.pid("web")
        for _ in range(3):
            kill_the_postmaster(jit)
            asked = jit.rita.ask(READER)
            assert asked.status_code == 201, asked.text
            grant_id = asked.json()["grant"]["id"]
            jit.wait(grant_id, "ACTIVE", seconds=SOON)
            assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
            jit.wait(grant_id, "ENDED", seconds=SOON)
        assert (jit.pid("worker"), jit.pid("web")) == (worker, web)

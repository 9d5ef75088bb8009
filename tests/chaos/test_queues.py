"""What is slow or optional can take every thread it has, and privilege comes and goes promptly."""

from __future__ import annotations

import psycopg

from tests.support.processes import READER, Running, until

PROMPTLY = 20.0
"""Seconds on a busy machine; it takes one on a quiet one."""
SEND = "from jit.celery import app; [app.send_task('sessions.recording.seal') for _ in range(40)]"
STUCK = (
    "SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    " AND query LIKE '%%jit_sessions_recording%%' AND application_name <> 'web'"
)
THREADS = 8


class TestBackground:
    def test_slow_tasks_take_the_last_thread(self, jit: Running) -> None:
        """Every thread that seals recordings waits for a table that somebody else has locked."""
        with psycopg.connect(**jit.database) as other:
            other.execute("LOCK TABLE jit_sessions_recording IN ACCESS EXCLUSIVE MODE")
            jit.manage("shell", "-c", SEND)
            stuck = until(lambda: jit.rows(STUCK), lambda rows: len(rows) >= THREADS)
            _, grant_id = jit.active(READER)
            assert jit.rita.post(f"grants/{grant_id}/return/").status_code == 200
            jit.wait(grant_id, "ENDED", seconds=PROMPTLY)
            assert len(jit.rows(STUCK)) >= THREADS, "they were not busy all the while"
            assert {name for (name,) in stuck} == {"background"}
        jit.everything_is_in_order()

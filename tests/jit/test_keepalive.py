"""What a real PostgreSQL does for those who wait for a process of ours that vanished."""

from __future__ import annotations

import psycopg
import pytest

from jit import keepalive
from tests.support import servers


class TestServer:
    def test_a_silent_transaction_keeps_its_locks_for_ever(self) -> None:
        """Whoever says nothing is as good as frozen, for the server."""
        url = servers.ensure()["superuser"]
        soon = keepalive.options("-c idle_in_transaction_session_timeout=300ms")
        with psycopg.connect(url) as waits:
            silent = psycopg.connect(url, options=soon)
            silent.execute("SELECT pg_advisory_xact_lock(71)")
            waits.execute("SET lock_timeout = '10s'")
            waits.execute("SELECT pg_advisory_xact_lock(71)")
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            silent.execute("SELECT 1")
        silent.close()

    def test_knows_all_that_it_is_asked(self) -> None:
        with psycopg.connect(servers.ensure()["superuser"], options=keepalive.options()) as asked:
            told = {
                name: asked.execute(f"SELECT current_setting('{name}')").fetchone()
                for name in keepalive.SERVER
            }
        assert told["idle_in_transaction_session_timeout"] == ("10s",)
        assert len(told) == len(keepalive.SERVER)

"""Connections to our own database, as they are kept for use: alive when they are handed out, and
waited for no longer than anybody's work is worth.

psycopg_pool by itself hands out what the server closed long ago (its documentation, "Connection
quality"); with a check it looks at one dead connection after the other, with a growing pause in
between, and tries to connect anew with pauses that grow to minutes.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.abc import RV, PQGen
from psycopg_pool import ConnectionPool

ANSWERS_WITHIN: Final = 120.0
"""Seconds after which a statement of ours is given up with its connection. The kernel notices a
machine that is gone (`keepalive`), but not a server, or a proxy before it, that is frozen.
"""
_ALIVE_WITHIN: Final = 3.0
_NEW_WITHIN: Final = 3.0
"""How long one place in the pool tries to connect, with pauses; whoever asks next begins anew."""


class Patient(psycopg.Connection[Any]):
    """A connection that waits for its server, but not for ever."""

    answers_within = ANSWERS_WITHIN

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Return what `gen` gives; raises psycopg.OperationalError, and is closed, if there is no
        answer in time. Nobody knows then whether the statement was carried out.
        """
        limit = self.answers_within if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except errors._WaitTimeout as silent:  # noqa: SLF001 -- psycopg has no public name for it
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database did not answer within {limit:g} s"
            ) from silent


def check(connection: Patient) -> None:
    """Raise psycopg's error if the connection is dead. Those that lie idle beside it died with it
    as a rule: they are replaced at once, not found one after the other.
    """
    connection.answers_within = _ALIVE_WITHIN
    try:
        connection.execute("")
    except psycopg.Error:
        kept_in = connection._pool  # noqa: SLF001 -- nobody else tells which pool it is from
        if isinstance(kept_in, ConnectionPool):
            kept_in.drain()
        raise
    finally:
        connection.answers_within = ANSWERS_WITHIN


def options(most: int) -> dict[str, Any]:
    """Return Django's `pool` option for at most so many connections at once."""
    return {
        "min_size": 2,
        "max_size": most,
        "timeout": 10,
        "check": check,
        "connection_class": Patient,
        "reconnect_timeout": _NEW_WITHIN,
    }

"""A Celery beat of which several may run: only the one that holds a database lock ticks."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import psycopg
from celery.beat import Scheduler

from jit.ops import apart

logger = logging.getLogger(__name__)

_LOOK_AGAIN_AFTER = 1
"""Seconds between two attempts of a beat that waits, and the longest pause of one that ticks."""
_SILENT_FOR_MS = 10_000
"""A holder that says nothing for so long (frozen, cut off) is disconnected by the server."""

_LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


class Lock:
    """A session-level advisory lock on a connection of its own.

    The lock lives exactly as long as the connection does, so it can't outlast its holder: the
    server frees it when the process dies, and also when the process falls silent. The connection
    must reach PostgreSQL itself or a pooler in session mode; a transaction-mode pooler would hand
    the lock to a stranger.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._connection: psycopg.Connection[Any] | None = None

    def held(self) -> bool:
        """Return whether we hold the lock at this moment, taking it if it is free."""
        if self._connection is None:
            return self._take()
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as lost:
            logger.warning("beat lost its lock and stops ticking: %s", lost)
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the lock up, if we hold it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _take(self) -> bool:
        connection = None
        try:
            connection = apart.connect(
                name="jit-beat-lock", options=f"-c idle_session_timeout={_SILENT_FOR_MS}"
            )
            row = connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self._name]
            ).fetchone()
        except psycopg.Error as unreachable:
            logger.warning("beat can't ask for its lock: %s", unreachable)
            row = None
        if connection is not None and row and row[0]:
            logger.info("beat holds the lock and ticks")
            self._connection = connection
            return True
        if connection is not None:
            connection.close()
        return False


class LockedScheduler(Scheduler):
    """The static schedule of the settings, ticked by whichever beat holds the lock.

    A beat that waits asks once a second, so after the holder's death another ticks within a
    second of the server noticing. Tasks are idempotent: an extra tick at a handover is harmless.
    """

    lock_name = "jit/beat"
    at_once = frozenset({"jit.workflow.reconcile"})
    """What a beat that begins to tick does first: nobody knows what happened until then, and the
    database may be an older one than it was.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        from jit.workflow.stand_in import StandIn  # noqa: PLC0415 -- Celery loads us before Django is set up

        self.lock = Lock(self.lock_name)
        self.stand_in = StandIn()
        self._ticks = False
        super().__init__(*args, **kwargs)
        # A longer pause would look like silence to the server and cost us the lock.
        self.max_interval = min(self.max_interval or _LOOK_AGAIN_AFTER, _LOOK_AGAIN_AFTER)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Run what is due and return the seconds until the next call; nothing without the lock.

        Revocations hang neither on the broker nor on the lock: whatever is overdue is ended from
        here.
        """
        self.stand_in.begin()
        if not self.lock.held():
            self._ticks = False
            return _LOOK_AGAIN_AFTER
        if not self._ticks:
            self._ticks = True
            self._make_due()
        pause: float = super().tick(*args, **kwargs)
        return pause

    def _make_due(self) -> None:
        for name in self.at_once & self.schedule.keys():
            self.schedule[name].last_run_at = _LONG_AGO
        self._heap = None  # Celery's own, which keeps when each was due; None is made anew.

    def _ensure_connected(self) -> Any:
        """Return the connection as it is, to be made by the first message that needs it.

        Celery's own waits here for the broker, for ever, and nothing would end what is overdue.
        """
        return self.connection

    def close(self) -> None:
        self.stand_in.finish()
        try:
            super().close()
        finally:
            self.lock.release()

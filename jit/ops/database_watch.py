"""Ends a worker or a clock that has lost its way to the database for good, so that whoever
supervises it starts another: a fresh process reads the address and the password anew.

A restart of the database is no reason: connections are checked and made anew by themselves
(`jit.pool`), and a process that starts waits for its database (`wait_for_database`).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

import psycopg
from celery.signals import task_failure, task_success
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from jit.ops import apart

log = logging.getLogger(__name__)

ASK_EVERY = 2.0
IN_A_ROW = 10
"""So many tasks of one thread that failed for the database, while it answers others, ..."""
FAILING_FOR = 15.0
"""... for so many seconds at least, and its process ends."""


def answers() -> bool:
    """Return whether the database answers this thread now."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as away:
        log.warning("the database does not answer: %s", away)
        return False
    finally:
        connection.close()
    return True


def wait_for_database() -> None:
    """Return once the database answers, or after DATABASE_PATIENCE seconds without."""
    until = time.monotonic() + settings.DATABASE_PATIENCE
    while not answers() and time.monotonic() < until:
        time.sleep(0.5)


def end(why: str) -> None:
    """End this process at once: every process may be killed at any moment, and its threads may
    wait for something that never comes.
    """
    log.critical("%s; this process ends so that another takes its place", why)
    sys.stderr.flush()
    os._exit(os.EX_TEMPFAIL)


class Watch:
    """Two threads: one asks the database and may have to wait for it, the other looks on."""

    def __init__(self, *, patience: float, every: float = ASK_EVERY) -> None:
        self._patience, self._every = patience, every
        self._answered = time.monotonic()

    def begin(self) -> None:
        for work in (self._ask_for_ever, self._look_for_ever):
            threading.Thread(target=work, name="database-watch", daemon=True).start()

    def _ask_for_ever(self) -> None:
        while True:
            if answers():
                self._answered = time.monotonic()
            time.sleep(self._every)

    def _look_for_ever(self) -> None:
        while (silent := time.monotonic() - self._answered) < self._patience:
            time.sleep(min(self._every, self._patience - silent))
        end(f"the database has not answered for {silent:.0f} s")


class Streak(threading.local):
    """How many tasks of this thread failed for the database one after the other."""

    count = 0
    since = 0.0


_streak = Streak()


def begin() -> None:
    """Watch from now on, and hear how tasks end."""
    Watch(patience=settings.DATABASE_PATIENCE).begin()
    task_failure.connect(_failed)
    task_success.connect(_succeeded)


def _succeeded(**_kwargs: Any) -> None:
    _streak.count = 0


def _failed(exception: BaseException | None = None, **_kwargs: Any) -> None:
    if not isinstance(exception, InterfaceError | OperationalError):
        _streak.count = 0
        return
    if not _streak.count:
        _streak.since = time.monotonic()
    _streak.count += 1
    lasting = time.monotonic() - _streak.since >= FAILING_FOR
    if _streak.count >= IN_A_ROW and lasting and _answers_a_newcomer():
        end(f"{_streak.count} tasks in a row failed for a database that answers others")


def _answers_a_newcomer() -> bool:
    """Return whether the database answers on a connection of its own, beside the pool."""
    try:
        with apart.connect(name="jit-database-watch") as fresh:
            fresh.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True

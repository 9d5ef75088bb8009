"""When nobody sweeps (the broker is gone, no worker lives), the clock itself ends what is due."""

from __future__ import annotations

import datetime as dt
import logging
import threading

from django.db import close_old_connections

from jit.workflow import due, leave, revoke

log = logging.getLogger(__name__)

PATIENCE = dt.timedelta(seconds=3)
"""How long what is due may lie about before it is taken for forgotten: three lost sweeps."""
LOOK_EVERY = 1.0
"""Seconds between two looks."""


def end_overdue() -> int:
    """Revoke what should have been revoked by now, if there is any, what disabled accounts still
    hold among it; return how many grants were seen gone. Safe beside workers: what they hold is
    not touched.
    """
    leave.sweep()
    if not due.overdue(PATIENCE):
        return 0
    log.error(
        "nobody revoked what has been due for over %d s: is the broker gone, or every worker? "
        "It is done here and now",
        PATIENCE.total_seconds(),
    )
    return revoke.revoke_due()


class StandIn:
    """Looks for overdue revocations each second in a thread of its own: neither a target that is
    slow to answer nor a broker that lets the clock wait for it keeps it from looking.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def begin(self) -> None:
        """Look from now on, if it does not already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="stand-in", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Look no more; a look that was begun goes on by itself."""
        self._over.set()

    def _run(self) -> None:
        while True:
            self._look()
            if self._over.wait(LOOK_EVERY):
                return

    def _look(self) -> None:
        try:
            close_old_connections()
            end_overdue()
        except Exception:
            log.exception("could not look for overdue revocations")
        finally:
            close_old_connections()

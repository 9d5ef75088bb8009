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


def end_overdue() -> int:
    """Revoke what should have been revoked by now, if there is any; return how many grants
    were seen gone. Safe beside workers: what they hold is not touched.
    """
    if not due.overdue(PATIENCE):
        return 0
    log.error(
        "nobody revoked what has been due for over %d s: is the broker gone, or every worker? "
        "It is done here and now",
        PATIENCE.total_seconds(),
    )
    leave.sweep()
    return revoke.revoke_due()


class StandIn:
    """Looks for overdue revocations in a thread of its own, so that whoever ticks the clock
    goes on ticking while a target is slow to answer.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin to look, unless the last look is still at it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._look, name="stand-in", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait for the look that was begun."""
        if self._thread is not None:
            self._thread.join()

    def _look(self) -> None:
        try:
            close_old_connections()
            end_overdue()
        except Exception:
            log.exception("could not look for overdue revocations")
        finally:
            close_old_connections()

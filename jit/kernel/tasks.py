"""Work is enqueued by name and only once the transaction has committed."""

from __future__ import annotations

import datetime as dt
import logging
import time
from functools import partial
from typing import Any

from django.db import transaction

log = logging.getLogger(__name__)

HORIZON = dt.timedelta(seconds=110)
"""Later ETAs are left to the sweep: Redis redelivers long ones after its visibility timeout."""


LEFT_ALONE = 2.0
"""Seconds for which a broker that failed is not tried again, at least; and twice as long as it took
to fail. One that vanished takes several, and whoever approves or revokes waits for them.
"""
_tried_again_at = 0.0


def _send(name: str, args: tuple[Any, ...], eta: dt.datetime | None, expires: float | None) -> None:
    from jit.celery import app  # noqa: PLC0415 -- the app loads Django; operations must not

    global _tried_again_at  # noqa: PLW0603 -- one broker, whichever thread found it away
    started = time.monotonic()
    if started < _tried_again_at:
        log.info("%s is not enqueued: the broker is away; the sweep will find the work", name)
        return
    try:
        app.send_task(name, args=args, eta=eta, expires=expires, retry=False)
    except Exception:  # the row holds the deadline; a lost hint costs promptness only
        failed = time.monotonic()
        _tried_again_at = failed + max(LEFT_ALONE, 2 * (failed - started))
        log.warning("could not enqueue %s; the sweep will find the work", name, exc_info=True)


def enqueue_on_commit(
    name: str, *args: Any, eta: dt.datetime | None = None, expires: float | None = 60
) -> None:
    """Send task `name` once the surrounding transaction has committed.

    `eta` is honoured only within HORIZON; later ones are the sweep's. A broker that is down
    is logged, never raised: the row in the database is the truth.
    """
    if eta is not None and expires is not None:
        expires = None
    transaction.on_commit(partial(_send, name, args, eta, expires))


def enqueue(name: str, *args: Any, expires: float | None = 60) -> None:
    """Send task `name` at once, for what is committed already; asks no database connection, so
    that it may be called from any thread. A broker that is down is logged, never raised.
    """
    _send(name, args, None, expires)

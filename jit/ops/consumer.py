"""A worker's consumer that outlives the loss of its broker and is back soon after it."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

log = logging.getLogger(__name__)

LONGEST_PAUSE = 2.0
"""Seconds between two attempts to reach the broker; Celery's own grow to half a minute."""


class LastingConsumer(Consumer):
    """Celery's consumer with two of its ways changed: named in CELERY_WORKER_CONSUMER."""

    def ensure_connected(self, conn: Any) -> Any:
        """Try until the broker answers, every LONGEST_PAUSE seconds at least: giving waits."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=0.2,
            interval_step=0.4,
            interval_max=LONGEST_PAUSE,
        )
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of the messages in hand, which can't be given back to a broker that is lost.

        Kombu tries nevertheless (to restore them as it closes the connection, to acknowledge
        them when their tasks end), stumbles over what it has half closed, and the
        AttributeError ends the worker. The rows say what is to be done: the next sweep finds
        what those messages asked for.
        """
        channel = getattr(self.connection, "_default_channel", None)
        if channel is not None:
            channel.do_restore = False
            channel.basic_ack = channel.basic_reject = _too_late
        super().on_connection_error_after_connected(exc)


def _too_late(delivery_tag: str, **_more: Any) -> None:
    log.info("message %s was in hand when the broker was lost", delivery_tag)

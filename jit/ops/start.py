"""What a process does before its first request or task, so that nobody waits for it then."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import connection

from jit.catalog.models import Target
from jit.celery import app
from jit.elevation import provisioning
from jit.policy import queries as policy

log = logging.getLogger(__name__)


def _compile_policy() -> None:
    policy.active_bundle()


def _reach_the_pages() -> None:
    async_to_sync(get_channel_layer().group_send)("warm-up", {"type": "hint"})


def _reach_the_broker() -> None:
    with app.producer_pool.acquire(block=True, timeout=5) as producer:
        if producer.connection is not None:
            producer.connection.ensure_connection(max_retries=1, timeout=2)


def _load_connectors() -> None:
    for target in Target.objects.filter(enabled=True):
        provisioning.connector_of(target)


def _all() -> None:
    steps: tuple[Callable[[], None], ...] = (
        _compile_policy,
        _reach_the_broker,
        _reach_the_pages,
        _load_connectors,
    )
    for step in steps:
        try:
            step()
        except Exception as failure:  # noqa: BLE001 -- whoever needs it first hears of it too
            log.info("not warm yet (%s): %s", step.__name__, failure)
    connection.close()


def warm_up() -> None:
    """Do in the background what the first decision would otherwise wait a second for: compile
    the policy, connect to the broker and the channel layer, load the connectors.
    """
    threading.Thread(target=_all, name="warm-up", daemon=True).start()

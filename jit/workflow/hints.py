"""Tell open pages that something changed. A hint carries no state: pages read again.

Hints leave in a thread of their own, over connections that stay open: whoever grants or revokes
does not wait for pages, and a thousand grants ending at once cost one question of who listens.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer
from channels_redis.core import RedisChannelLayer
from django.conf import settings
from django.db import transaction

from jit.kernel import tasks

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Hints that wait to leave; more than that and pages are late anyway."""
_AT_EXIT = 2.0
"""Seconds that a process about to end gives its last hints."""


class Sender:
    """Sends hints in a thread that starts with the first one; a forked child has its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[tuple[str, ...], dict[str, str]]] = queue.Queue(
            MOST_WAITING
        )
        self._lock = threading.Lock()
        self._process: int | None = None

    def send(self, groups: tuple[str, ...], hint: dict[str, str]) -> None:
        """Let the hint leave for these groups; returns at once."""
        with self._lock:
            if self._process != os.getpid():
                if self._process is not None:
                    self._waiting = queue.Queue(MOST_WAITING)
                self._process = os.getpid()
                threading.Thread(
                    target=self._run, args=(self._waiting,), name="hints", daemon=True
                ).start()
        try:
            self._waiting.put_nowait((groups, hint))
        except queue.Full:
            log.warning("too many hints wait; %s is left out", groups)

    def finish(self, seconds: float = _AT_EXIT) -> None:
        """Wait until what was sent so far has left, at most so long."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _run(self, waiting: queue.Queue[tuple[tuple[str, ...], dict[str, str]]]) -> None:
        loop = asyncio.new_event_loop()
        while True:
            batch = [waiting.get()]
            while not waiting.empty():
                batch.append(waiting.get())
            try:
                loop.run_until_complete(_send_all(batch))
            except Exception:  # a lost hint costs a page's promptness, nothing else
                log.warning("could not hint %d groups", len(batch), exc_info=True)
            for _ in batch:
                waiting.task_done()


async def _send_all(batch: list[tuple[tuple[str, ...], dict[str, str]]]) -> None:
    layer = get_channel_layer()
    listening = await _who_listens(layer, {group for groups, _ in batch for group in groups})
    last = {(group, hint["about"], hint["id"]): hint for groups, hint in batch for group in groups}
    for (group, _, _), hint in last.items():
        if group in listening:
            await layer.group_send(group, hint)


async def _who_listens(layer: Any, groups: set[str]) -> set[str]:
    """Return those of the groups that anybody has joined, asked in one round trip; all of
    them where the layer can't be asked.
    """
    if not isinstance(layer, RedisChannelLayer) or len(layer.hosts) != 1:
        return groups
    asked = sorted(groups)
    pipe = layer.connection(0).pipeline(transaction=False)
    for group in asked:
        pipe.exists(layer._group_key(group))  # noqa: SLF001 -- the layer has no public question
    found = await pipe.execute()
    return {group for group, exists in zip(asked, found, strict=True) if exists}


_sender = Sender()
atexit.register(_sender.finish)


def _send(groups: tuple[str, ...], hint: dict[str, str]) -> None:
    _sender.send(groups, hint)


def about_request(request_id: UUID, *, people: Iterable[UUID] = ()) -> None:
    """Hint, once committed, that the request (or its grant) changed: to everybody looking at
    it, to `people`, and to the operators' pages.
    """
    groups = (
        f"request.{request_id.hex}",
        "operators",
        *sorted(f"person.{person.hex}" for person in set(people)),
    )
    hint = {"type": "hint", "about": "request", "id": str(request_id)}
    transaction.on_commit(partial(_send, groups, hint))
    for name in settings.REQUEST_CHANGED_TASKS:
        tasks.enqueue_on_commit(name, str(request_id))

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
from itertools import batched
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
_AT_ONCE = 50
"""Changed requests that one task hears of."""


type Hint = tuple[tuple[str, ...], dict[str, str]]
"""The groups that it goes to, and what they are told."""


class Sender:
    """Sends hints in a thread that starts with the first one; a forked child has its own."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[list[Hint]] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._process: int | None = None

    def send(self, hints: list[Hint]) -> None:
        """Let the hints leave; returns at once."""
        with self._lock:
            if self._process != os.getpid():
                if self._process is not None:
                    self._waiting = queue.Queue(MOST_WAITING)
                self._process = os.getpid()
                threading.Thread(
                    target=self._run, args=(self._waiting,), name="hints", daemon=True
                ).start()
        try:
            self._waiting.put_nowait(hints)
        except queue.Full:
            log.warning("too many hints wait; %d are left out", len(hints))

    def finish(self, seconds: float = _AT_EXIT) -> None:
        """Wait until what was sent so far has left, at most so long."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks and time.monotonic() < until:
            time.sleep(0.005)

    def _run(self, waiting: queue.Queue[list[Hint]]) -> None:
        loop = asyncio.new_event_loop()
        while True:
            taken = [waiting.get()]
            while not waiting.empty():
                taken.append(waiting.get())
            batch = [hint for hints in taken for hint in hints]
            try:
                loop.run_until_complete(_send_all(batch))
            except Exception:  # a lost hint costs a page's promptness, nothing else
                log.warning("could not hint %d groups", len(batch), exc_info=True)
            for _ in taken:
                waiting.task_done()


async def _send_all(batch: list[Hint]) -> None:
    layer = get_channel_layer()
    listening = await _who_listens(layer, {group for groups, _ in batch for group in groups})
    if not listening:
        return
    last = {(group, hint["about"], hint["id"]): hint for groups, hint in batch for group in groups}
    for (group, _, _), hint in last.items():
        if group in listening:
            await layer.group_send(group, hint)


_EXISTING = """
local found = {}
for place, key in ipairs(KEYS) do
    if redis.call('EXISTS', key) == 1 then found[#found + 1] = place end
end
return found
"""


async def _who_listens(layer: Any, groups: set[str]) -> set[str]:
    """Return those of the groups that anybody has joined, asked in one question; all of them
    where the layer can't be asked.
    """
    if not isinstance(layer, RedisChannelLayer) or len(layer.hosts) != 1:
        return groups
    asked = list(groups)
    keys = [layer._group_key(group) for group in asked]  # noqa: SLF001 -- the layer has no public question
    found = await layer.connection(0).eval(_EXISTING, len(keys), *keys)
    return {asked[place - 1] for place in found}


_sender = Sender()
atexit.register(_sender.finish)


def about_request(request_id: UUID, *, people: Iterable[UUID] = ()) -> None:
    """Hint, once committed, that the request (or its grant) changed: to everybody looking at
    it, to `people`, and to the operators' pages.
    """
    about_requests([(request_id, people)])


def about_requests(changed: Iterable[tuple[UUID, Iterable[UUID]]]) -> None:
    """Hint, once committed, that each of these requests changed, to its people too."""
    hints = [_about(request_id, people) for request_id, people in changed]
    transaction.on_commit(partial(_sender.send, hints))
    for name in settings.REQUEST_CHANGED_TASKS:
        for some in batched(hints, _AT_ONCE):
            tasks.enqueue_on_commit(name, *(hint["id"] for _, hint in some))


def _about(request_id: UUID, people: Iterable[UUID]) -> Hint:
    groups = (
        f"request.{request_id.hex}",
        "operators",
        *sorted(f"person.{person.hex}" for person in set(people)),
    )
    return groups, {"type": "hint", "about": "request", "id": str(request_id)}

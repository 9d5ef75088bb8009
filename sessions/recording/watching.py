"""Watching a live session from any process: `async for line in watching.lines(session_id)`.

Who may watch is the caller's question, and so is the audit event of it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

from jit.kernel.errors import Conflict
from sessions.recording import asciicast, live
from sessions.recording.redaction import Redactor

log = logging.getLogger(__name__)
ANSWER = 3.0
"""Seconds within which the session's gateway must answer."""
SILENCE = 3 * live.STILL
"""Seconds without a word after which the gateway counts as gone."""
_NOT_TOO_OFTEN = 1.0


class NotLive(Conflict):
    """No gateway records this session now."""


class GatewaySilent(Conflict):
    """The gateway of the session stopped answering while somebody watched."""


async def lines(session_id: UUID, *, redactor: Redactor | None = None) -> AsyncIterator[str]:
    """Yield asciicast v3 lines: the header, a snapshot of the screen, then what happens.

    Ends with the session. Raises NotLive at once when it isn't live, and GatewaySilent. With a
    `redactor` each line's text passes through it.
    """
    watcher = secrets.token_urlsafe(16)
    client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3)
    try:
        async with client.pubsub(ignore_subscribe_messages=True) as line:
            await line.subscribe(live.lines_channel(session_id), live.snapshot_channel(watcher))
            watch = _Watch(session_id, watcher, client, redactor or Redactor.none())
            await watch.ask()
            while not watch.ended:
                message = await line.get_message(timeout=watch.patience())
                if message is None:
                    await watch.nothing_heard()
                    continue
                for told in await watch.heard(json.loads(message["data"])):
                    yield told
    except (redis.RedisError, OSError) as away:
        raise GatewaySilent("The line to the gateway broke. Load the page again.") from away
    finally:
        await client.aclose()


class _Watch:
    """Puts snapshot and batches together, whatever the order they come in."""

    def __init__(
        self, session_id: UUID, watcher: str, client: redis.asyncio.Redis, redactor: Redactor
    ) -> None:
        self.ended = False
        self._session_id = session_id
        self._watcher = watcher
        self._client = client
        self._redactor = redactor
        self._next: int | None = None
        self._early: list[dict[str, Any]] = []
        self._begun = False
        self._heard_at = time.monotonic()
        self._asked_at = 0.0

    async def ask(self) -> None:
        """Ask for a snapshot, which also makes the gateway send lines."""
        self._asked_at = time.monotonic()
        told = {"session": str(self._session_id), "watcher": self._watcher}
        await self._client.publish(live.ASK, json.dumps(told))

    def patience(self) -> float:
        """Return how long to wait for the next message."""
        until = min(self._ask_at(), self._heard_at + self._limit())
        return max(0.01, until - time.monotonic())

    def _limit(self) -> float:
        return SILENCE if self._begun else ANSWER

    def _ask_at(self) -> float:
        """Return when to ask again: until the first answer at once, an ask may have been lost."""
        heard = self._heard_at + SILENCE / 2 if self._begun else 0.0
        return max(heard, self._asked_at + _NOT_TOO_OFTEN)

    async def nothing_heard(self) -> None:
        """Ask again, or raise NotLive or GatewaySilent when that was done for long enough."""
        now = time.monotonic()
        if now - self._heard_at < self._limit():
            if now >= self._ask_at():
                await self.ask()
            return
        if self._begun:
            raise GatewaySilent(
                "The session's gateway does not answer any more: the session may be lost. "
                "Load the page again."
            )
        raise NotLive("The session is not live any more. See its recording instead.")

    async def heard(self, message: dict[str, Any]) -> list[str]:
        """Return the lines that follow from a message."""
        if "text" in message:
            self._heard_at = time.monotonic()
            told = self._snapshot(message)
            early, self._early = self._early, []
            for batch in early:
                told += await self._batch(batch)
            return told
        if self._begun:
            self._heard_at = time.monotonic()
        return await self._batch(message)

    def _snapshot(self, message: dict[str, Any]) -> list[str]:
        self._next = message["next"]
        told = [] if self._begun else [asciicast.header_line(message["header"]).decode()]
        term = message["header"].get("term", {})
        if self._begun and message["header"].get("has_terminal"):
            told.append(_line("r", f"{term.get('cols', 80)}x{term.get('rows', 24)}"))
        told.append(_line("o", self._redactor.text(message["text"])))
        self._begun = True
        return told

    async def _batch(self, batch: dict[str, Any]) -> list[str]:
        if self._next is None:
            self._early.append(batch)
            return []
        if batch["first"] > self._next:
            # Something went by: only a new snapshot makes the screen right again.
            self._next, self._early = None, []
            await asyncio.sleep(max(0.0, self._asked_at + _NOT_TOO_OFTEN - time.monotonic()))
            await self.ask()
            return []
        fresh = batch["lines"][self._next - batch["first"] :]
        self._next = max(self._next, batch["first"] + len(batch["lines"]))
        self.ended = self.ended or bool(batch.get("ended"))
        return [self._redactor.line(line) for line in fresh]


def _line(code: str, text: str) -> str:
    return asciicast.event_line(0, code, text).decode()

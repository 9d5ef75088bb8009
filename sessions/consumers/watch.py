"""Watching a live session: the recorder's own lines, as its player takes them.

What comes is asciicast v3, a line a message, under the subprotocol `v3.asciicast`; whoever comes
late gets a picture of the screen first. Watching is on the record, and only for who may.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from jit.identity import sockets
from jit.identity.authentication import actor_for
from jit.kernel.actor import Channel
from jit.kernel.errors import DomainError
from sessions import playing, queries
from sessions.operations import viewing
from sessions.recording import asciicast, terminal, watching
from sessions.recording.redaction import Redactor

log = logging.getLogger(__name__)

PROTOCOL = "v3.asciicast"
ENDED = 1000
"""The close code after which a player says that the stream ended, and does not come again."""
ASK_AGAIN_EVERY = 15.0


class Watch(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One watcher of one session; each message waits until the browser took the one before."""

    _watching: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept(subprotocol=PROTOCOL if PROTOCOL in self.scope["subprotocols"] else None)
        session_id = self.scope["url_route"]["kwargs"]["session_id"]
        if not await _may_watch(await sockets.person_of(self.scope), session_id, note=True):
            await self.close(ENDED)
            return
        self._watching = asyncio.create_task(self._watch(session_id))

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 -- channels' signature
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **options: Any
    ) -> None:
        """A watcher has nothing to say."""

    async def _watch(self, session_id: UUID) -> None:
        asking = asyncio.create_task(self._ask_again(session_id))
        told = watching.lines(session_id, redactor=Redactor.of_settings())
        try:
            async with aclosing(cast("AsyncGenerator[str]", told)) as lines:
                async for text in _for_player(lines):
                    await self.send(text_data=text)
        except DomainError as gone:
            log.info("watching %s ends: %s", session_id, gone.detail)
        finally:
            asking.cancel()
        await self.close(ENDED)

    async def _ask_again(self, session_id: UUID) -> None:
        """Whoever loses the right to look stops seeing."""
        while True:
            await asyncio.sleep(ASK_AGAIN_EVERY)
            if not await _may_watch(await sockets.person_of(self.scope), session_id):
                break
        if self._watching is not None:
            self._watching.cancel()
        await self.close(ENDED)


async def _for_player(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield lines without what was typed, and with markers in people's words."""
    skipped = 0
    screen = terminal.Screen()
    async for line in lines:
        text = line.strip()
        if text.startswith("{"):
            header = terminal.usable_header(json.loads(text))
            screen = terminal.Screen(has_terminal=bool(header.pop("has_terminal", False)))
            yield asciicast.compact(header)
            continue
        interval, code, told = asciicast.parse_line(text)
        if code == "i":
            skipped += interval
            continue
        if code == "m" and terminal.is_of_typing(asciicast.Event(0, code, told)):
            skipped += interval
            continue
        if code == "m":
            told = playing.label(asciicast.Event(0, code, told).fact())
        told = screen.event(asciicast.Event(0, code, told)).text
        yield asciicast.event_line(interval + skipped, code, told).decode().strip()
        skipped = 0


@database_sync_to_async  # type: ignore[untyped-decorator]  # channels has no types
def _may_watch(user: Any, session_id: UUID, *, note: bool = False) -> bool:
    if user is None:
        return False
    try:
        session = queries.session_visible_to(user, session_id)
    except DomainError:
        return False
    if note:
        viewing.viewed(session=session, how="live", actor=actor_for(user, channel=Channel.WEB))
    return True

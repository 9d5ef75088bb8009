"""The websocket between a browser's terminal and its line to the gateway.

Bytes travel as binary frames, both ways; everything else is JSON: the browser sends
`{"size": [columns, rows]}` and `{"have": bytes drawn so far}`, and hears `{"ticket": …}`,
`{"from": the number of the next byte}`, `{"over": sentence}`, `{"elsewhere": true}`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer

from jit.identity import sockets
from jit.kernel.errors import DomainError
from sessions.recording.terminal import MOST_COLUMNS, MOST_ROWS, SMALLEST
from sessions.terminal import calling, resuming
from sessions.terminal.line import Line

OVER = 4410
"""The close code that says: this terminal is no more; do not knock again."""
ELSEWHERE = 4421
"""The close code that says: knock again, another process holds it."""
TAKEN_OVER = 4409
"""The close code for a browser whose terminal was taken up by another page."""
LONGEST_INPUT = 1024 * 1024


class Terminal(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One browser at one line. The line outlives it by a minute."""

    line: Line | None = None
    ticket = ""
    _pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        asked = parse_qs(self.scope["query_string"].decode("latin-1"))
        given = {name: values[-1] for name, values in asked.items()}
        try:
            await self._take_or_call(given)
        except resuming.HeldElsewhere:
            await self._tell({"elsewhere": True})
            await self.close(ELSEWHERE)
            return
        except DomainError as refusal:
            await self._tell({"over": refusal.detail, "code": refusal.code})
            await self.close(OVER)
            return
        self._pump = asyncio.create_task(self._pass_on())

    async def _take_or_call(self, given: dict[str, str]) -> None:
        owner = (str(self.scope["user"].pk), str(self.scope["session"].session_key))
        if given.get("ticket"):
            self.ticket = given["ticket"]
            received = int(given["have"]) if given.get("have", "").isdecimal() else None
            self.line = await resuming.lines.take_up(self.ticket, owner=owner, received=received)
            if self.line.attended is not None:
                await self.line.attended.step_aside()
            await self._tell({"from": self.line.outbox.sent})
            self.line.acknowledge(received or 0)
        else:
            resuming.lines.make_room(owner[0])
            self.line = await calling.call(
                grant_id=self.scope["url_route"]["kwargs"]["grant_id"],
                user=self.scope["user"],
                browser=owner[1],
                host=given.get("host", "")[:255],
                size=_size([given.get("columns"), given.get("rows")]) or (80, 24),
                source_address=str((self.scope.get("client") or [""])[0]),
                client=_user_agent(self.scope),
            )
            self.ticket = await resuming.lines.keep(self.line)
            await self._tell({"ticket": self.ticket, "from": 0})
        self.line.attended = self
        size = _size([given.get("columns"), given.get("rows")])
        if size:
            self.line.resize(*size)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **_options: Any
    ) -> None:
        if self.line is None or self.line.attended is not self:
            return
        if bytes_data is not None:
            await self.line.type(bytes_data[:LONGEST_INPUT])
            return
        try:
            said = json.loads(text_data or "")
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        size = _size(said.get("size"))
        if size:
            self.line.resize(*size)
        have = said.get("have")
        if isinstance(have, int) and not isinstance(have, bool):
            self.line.acknowledge(have)

    async def disconnect(self, code: int) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        if self.line is None or self.line.attended is not self:
            return
        self.line.attended = None
        if code == sockets.NOT_SIGNED_IN or self.line.over:
            resuming.lines.forget(self.ticket)
        else:
            resuming.lines.leave(self.ticket)

    async def step_aside(self) -> None:
        """Another page of the same person took the line up."""
        if self._pump is not None:
            self._pump.cancel()
        await self.close(TAKEN_OVER)

    async def _pass_on(self) -> None:
        """Send what the line says, as fast as this browser takes it."""
        assert self.line is not None  # noqa: S101 -- started with one
        while True:
            self.line.changed.clear()
            while data := self.line.outbox.take():
                await self.send(bytes_data=data)
            if self.line.over and self.line.outbox.sent == self.line.outbox.end:
                await self._tell({"over": self.line.over})
                await self.close(OVER)
                return
            await self.line.changed.wait()

    async def _tell(self, message: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(message))


def _size(given: Any) -> tuple[int, int] | None:
    """Return columns and rows, or None for what is no size of a terminal."""
    try:
        columns, rows = (int(one) for one in given)
    except (TypeError, ValueError):
        return None
    good = SMALLEST <= columns <= MOST_COLUMNS and SMALLEST <= rows <= MOST_ROWS
    return (columns, rows) if good else None


def _user_agent(scope: dict[str, Any]) -> str:
    return str(dict(scope.get("headers", [])).get(b"user-agent", b"").decode("latin-1"))[:200]

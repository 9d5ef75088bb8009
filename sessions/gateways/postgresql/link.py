"""One end of a proxied connection: messages awaited one by one, then bytes as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import HEAD, LONGEST_BEFORE_LOGIN, Malformed

HIGH_WATER = 256 * 1024
"""Bytes that may wait for a slow reader before the other end is no longer read."""


class Gone(Exception):
    """The other end closed the connection."""


class Link(asyncio.Protocol):
    """A connection. `passes_on` is called with whatever arrives, once `relay` was called;
    `presses` with whether what we write piles up; `closed` is done when all is over.
    """

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._arrived = asyncio.Event()
        self._passes_on: Callable[[bytes], None] | None = None
        self._presses: Callable[[bool], None] = lambda _: None
        self._reasons: set[str] = set()

    @property
    def transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise Gone("the connection is not there yet")
        return self._transport

    @property
    def alive(self) -> bool:
        return not self.closed.done() and not self.transport.is_closing()

    async def read(self, *, longest: int = LONGEST_BEFORE_LOGIN) -> tuple[bytes, bytes]:
        """Return the next message's kind and body. Raises Gone, Malformed."""
        head = await self._take(HEAD)
        length = framing.u32.unpack_from(head, 1)[0]
        if not framing.is_length(length, longest):
            raise Malformed(f"a message of {length} bytes before the log-in is complete")
        return head[:1], await self._take(length - 4)

    async def read_startup(self) -> tuple[int, bytes]:
        """Return a startup packet's code and body. Raises Gone, Malformed."""
        length = framing.u32.unpack(await self._take(4))[0]
        if not framing.is_startup_length(length):
            raise Malformed(f"a startup packet of {length} bytes")
        body = await self._take(length - 4)
        return framing.u32.unpack_from(body)[0], body[4:]

    def write(self, stream: bytes) -> None:
        if self.alive:
            self.transport.write(stream)

    def relay(self, passes_on: Callable[[bytes], None], presses: Callable[[bool], None]) -> None:
        """Hand everything that arrives from now on to `passes_on`."""
        self._passes_on, self._presses = passes_on, presses
        waiting = bytes(self._waiting)
        self._waiting.clear()
        self._resume("login")
        if waiting:
            passes_on(waiting)

    def hold(self, why: str) -> None:
        """Stop reading until every such reason is gone."""
        if not self._reasons and self.alive:
            self.transport.pause_reading()
        self._reasons.add(why)

    def let(self, why: str) -> None:
        self._resume(why)

    def let_all(self) -> None:
        """Read on, whatever held it."""
        for why in list(self._reasons):
            self._resume(why)

    def close(self, *, within: float = 1.0) -> None:
        """Flush and close; what is not taken within so many seconds is dropped."""
        if self.alive:
            self.transport.close()
            asyncio.get_running_loop().call_later(within, self.abort)

    def abort(self) -> None:
        if self._transport is not None and not self.closed.done():
            self._transport.abort()

    async def _take(self, count: int) -> bytes:
        while len(self._waiting) < count:
            if self.closed.done():
                raise Gone("the connection was closed")
            self._arrived.clear()
            await self._arrived.wait()
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        if len(self._waiting) < LONGEST_BEFORE_LOGIN:
            self._resume("login")
        return taken

    def _resume(self, why: str) -> None:
        if why in self._reasons:
            self._reasons.discard(why)
            if not self._reasons and self.alive:
                self.transport.resume_reading()

    # --- What the event loop calls ----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self._passes_on:
            self._passes_on(data)
            return
        self._waiting += data
        if len(self._waiting) >= 2 * LONGEST_BEFORE_LOGIN:
            self.hold("login")
        self._arrived.set()

    def pause_writing(self) -> None:
        self._presses(True)

    def resume_writing(self) -> None:
        self._presses(False)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if not self.closed.done():
            self.closed.set_result(None)
        self._arrived.set()

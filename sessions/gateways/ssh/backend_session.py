"""The host's end of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import groupby
from operator import itemgetter

import asyncssh

from sessions.gateways.ssh.interfaces import Frontend


class BackendSession(asyncssh.SSHClientSession[bytes]):
    """Takes what the program on the host says to the person's end, once a turn."""

    def __init__(self, front: Frontend) -> None:
        self.front = front
        self.channel: asyncssh.SSHClientChannel[bytes]
        self._said: list[tuple[bytes, int | None]] = []
        self._scheduled = False
        self._status: int | None = None
        self._signal: str | None = None
        self._holds = 0
        self.gone = asyncio.Event()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    @property
    def ended(self) -> bool:
        """Whether the program ended by itself."""
        return self._status is not None or self._signal is not None

    # --- What the host says -----------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._said.append((data, datatype))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        self._scheduled = False
        said, self._said = self._said, []
        for datatype, parts in groupby(said, key=itemgetter(1)):
            self.front.from_host(b"".join(part for part, _ in parts), datatype)

    def eof_received(self) -> bool:
        self._pass_on()
        if self.front.channel is not None and not self.front.channel.is_closing():
            self.front.channel.write_eof()
        return True

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(
        self,
        signal: str,
        core_dumped: bool,  # noqa: ARG002 -- asyncssh's signature
        msg: str,  # noqa: ARG002 -- as above
        lang: str,  # noqa: ARG002 -- as above
    ) -> None:
        self._signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._pass_on()
        broken = exc is not None and not self.ended
        self.front.host_is_done(
            self._status, self._signal, "The line to the host broke." if broken else ""
        )

    def pause_writing(self) -> None:
        if self.front.channel is not None:
            self.front.channel.pause_reading()

    def resume_writing(self) -> None:
        if self.front.channel is not None:
            self.front.channel.resume_reading()

    # --- What it is told --------------------------------------------------------------

    def write(self, data: bytes, datatype: int | None) -> None:
        if not self.channel.is_closing():
            self.channel.write(data, datatype)

    def write_eof(self) -> None:
        if not self.channel.is_closing():
            self.channel.write_eof()

    def resize(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self.channel.change_terminal_size(width, height, pixwidth, pixheight)

    def signal(self, name: str) -> None:
        self.channel.send_signal(name)

    def send_break(self, msec: int) -> None:
        self.channel.send_break(msec)

    def pause_reading(self) -> None:
        self._holds += 1
        if self._holds == 1:
            self.channel.pause_reading()

    def resume_reading(self) -> None:
        self._holds = max(0, self._holds - 1)
        if not self._holds:
            self.channel.resume_reading()

    def hold_until(self, ready: Awaitable[None]) -> None:
        """Read nothing from the host until `ready` is."""
        self.pause_reading()
        self.front.supervisor.spawn(self._held(ready))

    async def _held(self, ready: Awaitable[None]) -> None:
        try:
            await ready
        finally:
            self.resume_reading()

    def close(self) -> None:
        """Let nothing pass any more, in either direction. The program may run on: see
        `Upstream.close`.
        """
        if not self.gone.is_set():
            self.channel.abort()

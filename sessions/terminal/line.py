"""One shell on a target, through the gateway, that stays while its browser's line is away."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any
from uuid import UUID

import asyncssh

from sessions.gateways.ssh.frontend_session import CUT_STATUS
from sessions.terminal.outbox import Outbox

type Connection = asyncssh.SSHClientConnection
type Channel = asyncssh.SSHClientChannel[bytes]


_DRAWING = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f-\x9f]")


def _plain(notice: str) -> str:
    """Return a notice without what a terminal draws it by."""
    return _DRAWING.sub("", notice).strip()


class Line(asyncssh.SSHClientSession[bytes]):
    """asyncssh's view of the shell; `changed` is set whenever there is something to tell."""

    def __init__(self, connection: Connection, *, grant_id: UUID, owner: tuple[str, str]) -> None:
        self.connection = connection
        self.grant_id = grant_id
        self.owner = owner
        """The person's id and their browser session's key: nobody else takes this line up."""
        self.outbox = Outbox()
        self.changed = asyncio.Event()
        self.over = ""
        """Why nothing comes any more, as a sentence; empty while the shell lives."""
        self.attended: Any = None
        """The consumer that a browser is at, if one is."""
        self._status: int | None = None
        self._notice = ""
        """The gateway's last word to the person; why it ends, where it is the last of all."""
        self._channel: Channel | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    # --- What asyncssh tells ------------------------------------------------------------

    def connection_made(self, chan: Channel) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            # What runs in a terminal has one stream: this one is the gateway's.
            self._notice = data.decode("utf-8", "replace")
        self.outbox.add(data)
        if self.outbox.full and self._channel is not None:
            self._channel.pause_reading()
        self.changed.set()

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def connection_lost(self, exc: Exception | None) -> None:
        status = "" if self._status is None else f" (exit status {self._status})"
        broken = exc is not None and self._status is None
        self.over = "The line to the gateway broke." if broken else f"The session ended{status}."
        if self._status == CUT_STATUS and (notice := _plain(self._notice)):
            self.over = notice
        self._may_write.set()
        self.changed.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # --- What the browser says ------------------------------------------------------------

    async def type(self, data: bytes) -> None:
        """Send keystrokes; waits while the target takes none."""
        await self._may_write.wait()
        if self._channel is not None and not self.over:
            with contextlib.suppress(BrokenPipeError, OSError):
                self._channel.write(data)

    def resize(self, columns: int, rows: int) -> None:
        if self._channel is not None and not self.over:
            self._channel.change_terminal_size(columns, rows)

    def acknowledge(self, upto: int) -> None:
        """Note what the browser has drawn, and read on where that was waited for."""
        self.outbox.acknowledge(upto)
        if self.outbox.low and self._channel is not None and not self.over:
            self._channel.resume_reading()
        self.changed.set()

    def hang_up(self) -> None:
        """Leave: the gateway ends what runs on the target."""
        self.connection.close()

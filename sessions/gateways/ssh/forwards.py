"""Forwarded ports: only where the role says so, each on the record with its bytes, none for
longer than its session.
"""

from __future__ import annotations

import time
from typing import Any

import asyncssh

from jit.kernel.errors import NotAllowed
from sessions.gateways.ssh import open_failure
from sessions.gateways.ssh.interfaces import Frontend, IncomingConnection
from sessions.gateways.ssh.upstream import HostUnreachable, SessionOver


class NotForwarded(NotAllowed):
    """The role does not forward there."""


async def open_forward(
    client: IncomingConnection, dest_host: str, dest_port: int, orig_host: str, orig_port: int
) -> asyncssh.SSHTCPSession[bytes]:
    """Return the person's end of a forwarded connection, once the host's end is open.

    Raises ChannelOpenError with a sentence for what may not be forwarded, or not any more.
    """
    to = f"{dest_host}:{dest_port}"
    with open_failure.with_a_sentence("a forward"):
        front = await client.forwarding_session()
        allowed = {(each.host, each.port) for each in front.role.forwards}
        if (dest_host, dest_port) not in allowed:
            front.recording.mark({"kind": "forward", "to": to, "refused": True})
            given = ", ".join(f"{host}:{port}" for host, port in sorted(allowed)) or "nowhere"
            raise NotForwarded(f"Your role does not forward to {to}; it forwards to: {given}.")
        tunnel = Tunnel(front, to)
        await _open_on_host(tunnel, dest_host, dest_port, orig_host, orig_port)
        front.recording.mark({"kind": "forward", "to": to, "from": f"{orig_host}:{orig_port}"})
        if front.over:  # It ended while the host was asked.
            tunnel.cut()
            raise SessionOver("This session has ended.")
        front.tunnels.add(tunnel)
        return tunnel.person


async def _open_on_host(
    tunnel: Tunnel, dest_host: str, dest_port: int, orig_host: str, orig_port: int
) -> None:
    """Open the host's end. Raises ChannelOpenError, HostUnreachable, SessionOver."""
    connection = await tunnel.front.upstream.connection(marked=True)
    try:
        await connection.create_connection(
            lambda: tunnel.host, dest_host, dest_port, orig_host, orig_port, encoding=None
        )
    except asyncssh.ChannelOpenError:
        raise
    except (OSError, asyncssh.Error) as away:
        raise HostUnreachable(f"The line to the host broke: {away}.") from away


class Tunnel:
    """One forwarded connection: the `person`'s end of it, and the one on the `host`."""

    def __init__(self, front: Frontend, to: str) -> None:
        self.front = front
        self.to = to
        self.person, self.host = _End(self), _End(self)
        self.person.other, self.host.other = self.host, self.person
        self.closed = False
        self._began = time.monotonic()

    def cut(self) -> None:
        """End it at once: what is under way is dropped."""
        self.note_closed()
        self.person.abort()
        self.host.abort()

    def note_closed(self) -> None:
        """Put its end on the record, once."""
        if self.closed:
            return
        self.closed = True
        self.front.tunnels.discard(self)
        self.front.recording.mark(
            {
                "kind": "forward",
                "to": self.to,
                "closed": True,
                "bytes": self.person.bytes + self.host.bytes,
                "seconds": round(time.monotonic() - self._began, 3),
            }
        )


class _End(asyncssh.SSHTCPSession[bytes]):
    """One end of a tunnel; `other` is the one across."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.other: _End
        self.channel: Any = None
        self.bytes = 0
        self._early: list[bytes] = []

    def connection_made(self, chan: Any) -> None:
        self.channel = chan
        for data in self._early:
            chan.write(data)
        self._early.clear()
        if self.tunnel.closed:
            chan.abort()

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002 -- asyncssh's signature
        if self.tunnel.closed:
            return
        self.bytes += len(data)
        if self.other.channel is None:
            self.other._early.append(data)  # noqa: SLF001 -- the same class
        elif not self.other.channel.is_closing():
            self.other.channel.write(data)

    def eof_received(self) -> bool:
        if self.other.channel is not None and not self.other.channel.is_closing():
            self.other.channel.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.other.channel is not None:
            self.other.channel.pause_reading()

    def resume_writing(self) -> None:
        if self.other.channel is not None:
            self.other.channel.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncssh's signature
        # `is_closing` holds as soon as our end of file is sent; closing twice does no harm.
        if self.other.channel is not None:
            self.other.channel.close()
        self.tunnel.note_closed()

    def abort(self) -> None:
        self._early.clear()
        if self.channel is not None:
            self.channel.abort()

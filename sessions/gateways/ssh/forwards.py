"""Forwarded ports: only where the role says so, each on the record with its bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import asyncssh

from jit.kernel.errors import DomainError

if TYPE_CHECKING:
    from sessions.gateways.ssh.channel import Front
    from sessions.gateways.ssh.visitor import Visitor


async def open_forward(
    visitor: Visitor, dest_host: str, dest_port: int, orig_host: str, orig_port: int
) -> asyncssh.SSHTCPSession[bytes]:
    """Return the person's end of a forwarded connection, once the host's end is open.

    Raises ChannelOpenError with a sentence for what the role does not give.
    """
    try:
        front = await visitor.forwarding_session()
        allowed = {(each.host, each.port) for each in front.role.forwards}
        if (dest_host, dest_port) not in allowed:
            front.tape.mark({"kind": "forward", "to": f"{dest_host}:{dest_port}", "refused": True})
            given = ", ".join(f"{host}:{port}" for host, port in sorted(allowed)) or "nowhere"
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED,
                f"Your role does not forward to {dest_host}:{dest_port}; it forwards to: {given}.",
            )
        connection = await visitor.upstream(front.admitted)
    except DomainError as refusal:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, refusal.detail) from refusal
    person = _End(front, f"{dest_host}:{dest_port}")
    host = _End(front, person.to)
    person.other, host.other = host, person
    await connection.create_connection(
        lambda: host, dest_host, dest_port, orig_host, orig_port, encoding=None
    )
    front.tape.mark({"kind": "forward", "to": person.to, "from": f"{orig_host}:{orig_port}"})
    return person


class _End(asyncssh.SSHTCPSession[bytes]):
    """One end of a forwarded connection; `other` is the one across."""

    def __init__(self, front: Front, to: str) -> None:
        self.front = front
        self.to = to
        self.other: _End
        self.channel: Any = None
        self.bytes = 0
        self.gone = False
        self._began = time.monotonic()
        self._early: list[bytes] = []

    def connection_made(self, chan: Any) -> None:
        self.channel = chan
        for data in self._early:
            chan.write(data)
        self._early.clear()

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002 -- asyncssh's signature
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
        self.gone = True
        if self.other.channel is not None and not self.other.gone:
            self.other.channel.close()
            self.front.tape.mark(
                {
                    "kind": "forward",
                    "to": self.to,
                    "closed": True,
                    "bytes": self.bytes + self.other.bytes,
                    "seconds": round(time.monotonic() - self._began, 3),
                }
            )

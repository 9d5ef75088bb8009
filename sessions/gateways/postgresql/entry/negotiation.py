"""The first bytes of a connection, read from the bare socket: TLS, a cancel, or a startup.

Nothing is read beyond what is understood, so that what a stranger slipped in between the plain
request for TLS and the TLS itself can't be taken for what came inside (CVE-2021-23214).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass

from sessions.gateways.postgresql.link import Gone, Link
from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import Malformed, u32

_TLS_HANDSHAKE = 0x16
ALPN = "postgresql"


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A wish to cancel what runs in the session with this key; it comes on its own connection."""

    pid: int
    key: bytes
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class StartupRequest:
    """A connection on which a startup message was read."""

    link: Link
    version: int
    body: bytes
    tls: ssl.SSLObject | None


async def receive(sock: socket.socket, tls: ssl.SSLContext) -> StartupRequest | CancelRequest:
    """Read up to and including the startup message, over TLS if asked for.

    Raises Gone, Malformed, and OSError (ssl.SSLError among them).
    """
    loop = asyncio.get_running_loop()
    if await _peek(sock) == _TLS_HANDSHAKE:
        return await _over_tls(sock, tls, direct=True)
    code, body = await _startup(sock)
    if code == framing.GSSENC_REQUEST:
        await loop.sock_sendall(sock, b"N")
        code, body = await _startup(sock)
    if code == framing.CANCEL_REQUEST:
        return _cancel(body)
    if code == framing.SSL_REQUEST:
        await loop.sock_sendall(sock, b"S")
        return await _over_tls(sock, tls, direct=False)
    _, link = await loop.connect_accepted_socket(Link, sock)
    return StartupRequest(link, code, body, None)


async def _over_tls(
    sock: socket.socket, tls: ssl.SSLContext, *, direct: bool
) -> StartupRequest | CancelRequest:
    loop = asyncio.get_running_loop()
    link = Link()  # uvloop does not give back the one that it made over TLS
    try:
        await loop.connect_accepted_socket(lambda: link, sock, ssl=tls, ssl_handshake_timeout=10)
        secured: ssl.SSLObject = link.transport.get_extra_info("ssl_object")
        _check_alpn(secured, direct=direct)
        code, body = await link.read_startup()
    except BaseException:
        link.abort()
        raise
    if code == framing.CANCEL_REQUEST:
        return _cancel(body, link)
    return StartupRequest(link, code, body, secured)


def _check_alpn(secured: ssl.SSLObject, *, direct: bool) -> None:
    """Refuse TLS that was meant for another protocol (ALPACA): direct TLS must name ours."""
    if direct and secured.selected_alpn_protocol() != ALPN:
        raise Malformed("direct TLS needs the application protocol (ALPN) 'postgresql'")


def _cancel(body: bytes, link: Link | None = None) -> CancelRequest:
    if not 8 <= len(body) <= 260:  # noqa: PLR2004 -- a process id, and a key of 4 to 256 bytes
        raise Malformed("a cancel request of an impossible length")
    return CancelRequest(u32.unpack_from(body)[0], body[4:], link)


async def _startup(sock: socket.socket) -> tuple[int, bytes]:
    length = u32.unpack(await _exactly(sock, 4))[0]
    if not framing.is_startup_length(length):
        raise Malformed(f"a startup packet of {length} bytes")
    body = await _exactly(sock, length - 4)
    return u32.unpack_from(body)[0], body[4:]


async def _exactly(sock: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    read = b""
    while len(read) < count:
        more = await loop.sock_recv(sock, count - len(read))
        if not more:
            raise Gone("the connection was closed")
        read += more
    return read


async def _peek(sock: socket.socket) -> int:
    """Return the first byte that waits, without taking it."""
    loop = asyncio.get_running_loop()
    while True:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            first = sock.recv(1, socket.MSG_PEEK)
            if not first:
                raise Gone("the connection was closed")
            return first[0]
        readable = asyncio.Event()
        loop.add_reader(sock, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(sock)

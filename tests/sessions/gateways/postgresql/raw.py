"""A client that sends whatever bytes a test wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from types import TracebackType
from typing import Self

from sessions.gateways.postgresql.protocol import framing, scram
from tests.sessions.gateways.postgresql.ground import Ground


class Raw:
    """A connection over TLS (or none), and its messages one by one."""

    def __init__(self, ground: Ground, *, tls: bool = True) -> None:
        self.plain = socket.create_connection(("127.0.0.1", ground.port), timeout=10)
        self.socket: socket.socket = self.plain
        if tls:
            self.plain.sendall(struct.pack("!II", 8, framing.SSL_REQUEST))
            assert self.plain.recv(1) == b"S"
            context = ssl.create_default_context(cafile=ground.authority)
            self.socket = context.wrap_socket(self.plain, server_hostname="localhost")

    def startup(self, parameters: dict[str, str], *, version: int = framing.PROTOCOL_3_0) -> None:
        self.socket.sendall(framing.startup(parameters, version=version))

    def send(self, kind: bytes, body: bytes = b"") -> None:
        self.socket.sendall(framing.message(kind, body))

    def send_sasl(self, first: str, mechanism: str = "SCRAM-SHA-256") -> None:
        """Wait for the offer, take it, and wait for the server's first message."""
        self.until(b"R")
        told = first.encode()
        self.send(b"p", mechanism.encode() + b"\0" + struct.pack("!I", len(told)) + told)

    def log_in(self, name: str, password: str) -> None:
        """Go all the way to ReadyForQuery."""
        client = scram.ScramClient(password)
        self.startup({"user": name, "database": "shop"})
        self.send_sasl(client.first().decode())
        self.send(b"p", client.final(self.until(b"R")[-1][4:]))
        client.check(self.until(b"R")[-1][4:])
        self.until(b"Z")

    def message(self) -> tuple[bytes, bytes]:
        head = self._exactly(5)
        return head[:1], self._exactly(struct.unpack("!I", head[1:])[0] - 4)

    def until(self, kind: bytes) -> list[bytes]:
        """Return the bodies of all messages up to the first of `kind`."""
        bodies = []
        while True:
            got, body = self.message()
            bodies.append(body)
            if got == kind:
                return bodies

    def say(self, last: bytes) -> None:
        """Send bytes and nothing after them; the other end may have had enough already."""
        with contextlib.suppress(OSError):
            self.socket.sendall(last)
            self.socket.shutdown(socket.SHUT_WR)

    def is_shut(self) -> bool:
        """Return whether the other end shuts the connection, whatever it says before."""
        try:
            while self.socket.recv(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False
        return True

    def _exactly(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            more = self.socket.recv(count - len(read))
            assert more, "the connection was shut"
            read += more
        return read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

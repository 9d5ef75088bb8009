"""What a forward leads to, and a forward of the real `ssh` that is used as a person would."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

from jit.ops.embedded import ground
from tests.support.processes import until
from tests.support.ssh_gateway import OPERATOR, Visitor


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(4096):
                self.request.sendall(data)


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """Yield the port of a service on this machine that says back what it hears."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Forward:
    """`ssh -L` to a port, with or without a command beside it."""

    def __init__(self, visitor: Visitor, to: int, *command: str, login: str = OPERATOR) -> None:
        self.port = ground.free_port()
        options = ["-L", f"{self.port}:127.0.0.1:{to}", *([] if command else ["-N"])]
        self.ssh = visitor.open(*command, options=options, login=login)
        self.open_one = until(self._connect, seconds=20)

    def _connect(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return None

    def passes(self) -> bool:
        """Return whether the connection that is open passes something there and back."""
        return _echoed(self.open_one)

    def passes_anew(self) -> bool:
        """Return whether another connection opens and passes something."""
        another = self._connect()
        if another is None:
            return False
        with another:
            return _echoed(another)

    def close(self) -> None:
        self.open_one.close()


def _echoed(line: socket.socket) -> bool:
    with contextlib.suppress(OSError):
        line.sendall(b"still there?")
        return bool(line.recv(100))
    return False

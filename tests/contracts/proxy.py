"""A wire between a connector and its target: it can be slow, be cut, or hold back what it has."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from enum import StrEnum


class Held(StrEnum):
    """What is held back: the request on its way, or the answer to it."""

    REQUEST = "request"
    ANSWER = "answer"


class Proxy:
    """Forwards TCP from `port` on the loopback to the target.

    `delay` seconds pass before each piece; from the `hold_at`-th piece of the client's on,
    counted since `arm()`, its `held` side gets nothing until `release()`, and then all of it.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.delay = 0.0
        self.pieces = 0
        self._hold_at: int | None = None
        self._held = Held.REQUEST
        self._released = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._forgotten: set[socket.socket] = set()
        self._start(self._accept)

    def arm(self, *, hold_at: int | None = None, held: Held = Held.REQUEST) -> None:
        self._released.clear()
        self.pieces, self._hold_at, self._held = 0, hold_at, held

    def release(self) -> None:
        self._hold_at = None
        self._released.set()

    def forget(self) -> None:
        """Carry nothing more on the connections there are, and say nothing of it, as a firewall
        does that lost its table; new ones are carried.
        """
        self._forgotten.update(self._open)

    def close(self) -> None:
        """Take no more connections and end those there are; wait for the pumps."""
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.wait()
        for end in self._open:
            end.close()

    def cut(self) -> None:
        """End the connections there are; new ones are still taken."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def wait(self) -> None:
        """Wait until all that was carried has arrived and both ends are closed."""
        for thread in list(self._threads)[1:]:
            thread.join(10)

    def _start(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                self._start(self._pump, near, far, Held.REQUEST)
                self._start(self._pump, far, near, Held.ANSWER)

    def _pump(self, source: socket.socket, sink: socket.socket, way: Held) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if source in self._forgotten:
                    continue
                if way is Held.REQUEST:
                    self.pieces += 1
                if self.delay:
                    time.sleep(self.delay)
                if self._hold_at and self.pieces >= self._hold_at and way is self._held:
                    self._released.wait(30)
                with contextlib.suppress(OSError):  # Nobody there to read is no end of reading.
                    sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

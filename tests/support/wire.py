"""A wire between processes and a server: it can be frozen, cut, slowed, or led elsewhere."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

HOWS = ("through", "frozen", "moved", "refused", "slow")
_DELAY = 0.2
"""Seconds by which a slow wire is late, for each bit of conversation in each direction."""


class Wire:
    """Listens on a loopback port and passes on to another.

    `frozen`: connections stay and are made, and nothing passes. `moved`: those there are stay
    silent for ever, new ones work, as when a name leads to another machine. `refused`: none is
    there, none can be made. `slow`: everything is late.
    """

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to = port, to
        self._how = "through"
        self._lines: set[_Line] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def is_frozen(self) -> bool:
        return self._how == "frozen"

    @property
    def delay(self) -> float:
        return _DELAY if self._how == "slow" else 0.0

    def become(self, how: str) -> None:
        """Behave like this from now on."""
        with self._lock:
            before, self._how = self._how, how
            lines = list(self._lines)
        if how == "moved":
            for line in lines:
                line.lose()
        elif how == "refused":
            self._unlisten()
            for line in lines:
                line.cut()
        if before == "refused" != how:
            self._listen()

    def close(self) -> None:
        self.become("refused")

    def forget(self, line: _Line) -> None:
        with self._lock:
            self._lines.discard(line)

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _unlisten(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            line = _Line(self, near, far)
            with self._lock:
                self._lines.add(line)
            line.begin()


class _Line:
    """One connection and its continuation."""

    def __init__(self, wire: Wire, near: socket.socket, far: socket.socket) -> None:
        self._wire, self._ends = wire, (near, far)
        self.lost = False
        self._over = False

    def begin(self) -> None:
        near, far = self._ends
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def lose(self) -> None:
        """Be silent for ever; the server that was at the other end is no more."""
        self.lost = True
        with contextlib.suppress(OSError):
            self._ends[1].shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        self._over = True
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._wire.forget(self)

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                time.sleep(self._wire.delay)
                while (self.lost or self._wire.is_frozen) and not self._over:
                    time.sleep(0.05)
                other.sendall(data)
        except OSError:
            pass
        if not self.lost:
            self.cut()

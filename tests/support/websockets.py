"""A websocket's other end, without a server (channels' own needs daphne)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.testing import ApplicationCommunicator
from channels.layers import channel_layers

_left: list[Any] = []


@contextmanager
def own_layer() -> Iterator[None]:
    """A layer keeps connections of the loop it was made in: whatever is done here has a new one.

    The old ones stay: the thread that sends hints may hold a connection, which nobody else closes.
    """
    _renew()
    yield
    _renew()


def _renew() -> None:
    _left.append(channel_layers.backends)
    channel_layers.backends = {}


class Socket(ApplicationCommunicator):
    """One websocket to an ASGI application, with these cookies."""

    def __init__(self, application: Any, path: str, cookies: dict[str, str]) -> None:
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        headers = [(b"cookie", cookie.encode())] if cookie else []
        scope = {
            "type": "websocket",
            "path": path,
            "query_string": b"",
            "headers": headers,
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self) -> bool:
        """Knock; return whether the handshake was accepted."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout=3)
        return bool(answer["type"] == "websocket.accept")

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def hear(self) -> Any:
        """Return the next message, read as JSON."""
        answer = await self.receive_output(timeout=3)
        assert answer["type"] == "websocket.send", answer
        return json.loads(answer["text"])

    async def leave(self, code: int = 1000) -> None:
        await self.send_input({"type": "websocket.disconnect", "code": code})
        await self.wait(3)

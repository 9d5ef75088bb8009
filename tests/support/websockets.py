"""A websocket's other end, without a server (channels' own needs daphne)."""

from __future__ import annotations

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator


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

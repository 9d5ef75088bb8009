"""A browser at our websockets, without a screen: what it hears, and dropping the line."""

from __future__ import annotations

import json
from typing import Any

from channels.routing import URLRouter
from django.conf import settings
from django.test import Client

from jit.identity import sockets
from jit.identity.models import User
from sessions.routing import urlpatterns
from tests.support import people
from tests.support.websockets import Socket

APPLICATION = sockets.authenticated(URLRouter(urlpatterns))


def cookies_of(user: User) -> dict[str, str]:
    browser = people.signed_in(Client(), user)
    return {settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value}


class Browser(Socket):
    """One page. `shown` is all bytes it got; `told` the messages beside them."""

    def __init__(self, path: str, cookies: dict[str, str], **asked: Any) -> None:
        super().__init__(APPLICATION, path, cookies)
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        self.scope["query_string"] = query.encode()
        self.scope["client"] = ["198.51.100.4", 5000]
        self.scope["headers"].append((b"user-agent", b"Tests/1.0"))
        self.scope["subprotocols"] = ["v1.alis", "v3.asciicast"]
        self.shown = b""
        self.lines: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.closed: int | None = None

    async def type(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "bytes": text.encode()})

    async def tell(self, **message: Any) -> None:
        await self.say(json.dumps(message))

    async def hear_one(self, timeout: float = 10) -> None:  # noqa: ASYNC109 -- asgiref's own word
        message = await self.receive_output(timeout=timeout)
        if message["type"] == "websocket.close":
            self.closed = message["code"]
        elif message.get("bytes") is not None:
            self.shown += message["bytes"]
        elif message["text"].startswith("["):
            self.lines.append(message["text"])
        else:
            self.told.append(json.loads(message["text"]))

    async def until(self, truth: Any, *, most: int = 400) -> None:
        """Listen until `truth()` holds; it must within `most` messages."""
        for _ in range(most):
            if truth():
                return
            await self.hear_one()
        raise AssertionError(f"it did not come: {self.shown[-400:]!r} {self.told} {self.lines}")

    async def drop(self) -> None:
        """Lose the line, as in a tunnel."""
        await self.leave(1006)

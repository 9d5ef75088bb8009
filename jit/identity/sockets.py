"""Websockets are for people who passed their second factor, and only for as long as they may.

Whoever may not is told so by close code 4401 after the handshake: a browser hides from its
page why a handshake itself was refused.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from typing import Any

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from jit.identity import browser, live
from jit.identity.models import User

log = logging.getLogger(__name__)

NOT_SIGNED_IN = 4401
"""The close code that says: sign in (again)."""
ASK_AGAIN_EVERY = dt.timedelta(seconds=15)
"""How often an open websocket asks whether its person may still be there, hinted or not."""


def authenticated(inner: Any) -> Any:
    """Return an ASGI application that hands websockets of verified people to `inner`, with
    `scope["user"]` and `scope["second_factor_at"]`, and closes all others.
    """
    return CookieMiddleware(SessionMiddleware(_Guard(inner)))


async def person_of(scope: dict[str, Any]) -> User | None:
    """Return the websocket's person as they are now, or None once they may not be there.

    A consumer asks this before it acts for somebody: groups and permissions are read anew.
    """
    key = scope["session"].session_key
    return await database_sync_to_async(_fresh)(key) if key else None


def _fresh(session_key: str) -> User | None:
    store = import_string(settings.SESSION_ENGINE + ".SessionStore")
    session: SessionBase = store(session_key=session_key)
    return browser.verified_user(session)


class _Guard:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        user = await person_of(scope)
        if user is None:
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": NOT_SIGNED_IN})
            return
        at = await database_sync_to_async(browser.second_factor_at)(scope["session"])
        line = _Line(receive, send)
        inner_scope = {**scope, "user": user, "second_factor_at": at}
        watch = asyncio.create_task(_watch(inner_scope, user, line))
        try:
            await self.inner(inner_scope, line.receive, line.send)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


class _Line:
    """The connection as the consumer sees it; `cut` ends it from our side."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._cut = asyncio.Event()

    async def receive(self) -> Any:
        if self._cut.is_set():
            return {"type": "websocket.disconnect", "code": NOT_SIGNED_IN}
        message = asyncio.ensure_future(self._receive())
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            await asyncio.wait({message, cut}, return_when=asyncio.FIRST_COMPLETED)
            if cut.done():
                return {"type": "websocket.disconnect", "code": NOT_SIGNED_IN}
            return message.result()
        finally:
            message.cancel()
            cut.cancel()

    async def send(self, message: Any) -> None:
        if not self._cut.is_set():
            await self._send(message)

    async def cut(self) -> None:
        self._cut.set()
        await self._send({"type": "websocket.close", "code": NOT_SIGNED_IN})


async def _watch(scope: dict[str, Any], user: User, line: _Line) -> None:
    """Ask again once the hints are heard, then at every hint and every ASK_AGAIN_EVERY; cut
    the line on a no.
    """
    hints = _Hints(live.group_of(user.pk))
    try:
        await hints.join()
        while await person_of(scope) is not None:
            await hints.wait(ASK_AGAIN_EVERY.total_seconds())
        await line.cut()
    finally:
        await hints.leave()


class _Hints:
    """Hears the hints for an account; without a channel layer, it just takes its time."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.channel = ""

    async def join(self) -> None:
        try:
            layer = get_channel_layer()
            self.channel = self.channel or await layer.new_channel()
            # Again and again: a layer forgets its members when it is started anew.
            await layer.group_add(self.group, self.channel)
        except Exception:  # a layer that is down must not stop the asking
            log.warning("no hints for %s", self.group, exc_info=True)

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            async with asyncio.timeout_at(until):
                await get_channel_layer().receive(self.channel)
        except TimeoutError:
            pass
        except Exception:  # as above
            log.warning("no hints for %s", self.group, exc_info=True)
        else:
            return
        # A layer that fails at once must not make this a busy loop.
        await asyncio.sleep(max(0.0, until - loop.time()))
        await self.join()

    async def leave(self) -> None:
        try:
            await get_channel_layer().group_discard(self.group, self.channel)
        except Exception:  # it forgets by itself
            log.debug("could not leave %s", self.group, exc_info=True)

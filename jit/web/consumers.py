"""The socket that tells an open page to read itself again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from jit.elevation import queries as elevation
from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)

RECHECK_SECONDS = 30
"""How long a socket may outlive its owner's right to it."""
MOST_WATCHED = 20
"""Requests one page may watch: more is not a page of ours."""


class Live(AsyncJsonWebsocketConsumer):
    """Passes hints on to one page of one person; never data. The page says what it looks at
    (`{"watch": ["<request id>", "operators"]}`) and hears `{"about": …, "id": …}`.
    """

    user: User | None = None
    watched: set[str]
    guard: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self.watched = set()
        user = self.scope.get("user")
        if not await _still_welcome(user, self.scope):
            await self.close(code=4401)
            return
        self.user = user
        await self._join(f"person.{self.user.pk.hex}")
        await self.accept()
        self.guard = asyncio.create_task(self._recheck())

    async def disconnect(self, code: int) -> None:
        if self.guard:
            self.guard.cancel()
        for group in self.watched:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive_json(self, content: Any, **options: Any) -> None:
        asked = content.get("watch") if isinstance(content, dict) else None
        if not isinstance(asked, list):
            return
        for name in asked[:MOST_WATCHED]:
            group = await _group_for(self.user, name)
            if group and len(self.watched) <= MOST_WATCHED:
                await self._join(group)
        await self.send_json({"about": "watching", "count": len(self.watched)})

    async def hint(self, event: dict[str, str]) -> None:
        await self.send_json({"about": event["about"], "id": event.get("id", "")})

    async def _join(self, group: str) -> None:
        self.watched.add(group)
        await self.channel_layer.group_add(group, self.channel_name)

    async def _recheck(self) -> None:
        """Close the socket once its owner has signed out, was disabled or lost the session."""
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(RECHECK_SECONDS)
                if not await _still_welcome(self.user, self.scope):
                    await self.close(code=4401)
                    return


@database_sync_to_async
def _group_for(user: User | None, name: object) -> str | None:
    """Return the group that `name` stands for if `user` may look at it, else None."""
    if user is None:
        return None
    if name == "operators":
        return name if permissions.has(user, Permission.GRANT_READ_ALL) else None
    try:
        request_id = UUID(str(name))
        elevation.request_visible_to(user, request_id)
    except (ValueError, DomainError):
        return None
    return f"request.{request_id.hex}"


async def _still_welcome(user: Any, scope: Any) -> bool:
    return bool(user and user.is_authenticated)

"""The socket that tells an open page to read itself again."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from jit.elevation import queries as elevation
from jit.identity import permissions, sockets
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import DomainError

MOST_WATCHED = 100
"""Requests one page may watch: more is not a page of ours."""


class Live(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Passes hints on to one page of one person; never data.

    The page says what it looks at (`{"watch": ["<request id>", "operators"]}`) and hears
    `{"about": …, "id": …}`. Whether its person may still be here is asked again by
    `jit.identity.sockets`, on a timer and on every hint about the account.
    """

    watched: set[str]

    async def connect(self) -> None:
        self.watched = set()
        user: User = self.scope["user"]
        await self.accept()
        await self._join(f"person.{user.pk.hex}")

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 -- channels' signature
        for group in self.watched:
            await self.channel_layer.group_discard(group, self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **options: Any
    ) -> None:
        """Take text only: bytes are no language of ours."""
        if text_data and bytes_data is None:
            await super().receive(text_data=text_data, **options)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Return what was said, or None for what is not JSON: a page never says that."""
        try:
            return json.loads(text_data)
        except (ValueError, RecursionError):
            return None

    async def receive_json(self, content: Any, **_options: Any) -> None:
        asked = content.get("watch") if isinstance(content, dict) else None
        if not isinstance(asked, list):
            return
        user = await sockets.person_of(self.scope)
        for name in asked[:MOST_WATCHED]:
            group = await _group_for(user, name)
            if group and len(self.watched) <= MOST_WATCHED:
                await self._join(group)
        await self.send_json({"about": "watching", "count": len(self.watched)})

    async def hint(self, event: dict[str, str]) -> None:
        await self.send_json({"about": event["about"], "id": event.get("id", "")})

    async def _join(self, group: str) -> None:
        self.watched.add(group)
        await self.channel_layer.group_add(group, self.channel_name)


@database_sync_to_async  # type: ignore[untyped-decorator]  # channels has no types
def _group_for(user: User | None, name: object) -> str | None:
    """Return the group that `name` stands for if `user` may look at it, else None."""
    if user is None:
        return None
    if name == "operators":
        return "operators" if permissions.has(user, Permission.GRANT_READ_ALL) else None
    try:
        request_id = UUID(str(name))
        elevation.request_visible_to(user, request_id)
    except (ValueError, DomainError):
        return None
    return f"request.{request_id.hex}"

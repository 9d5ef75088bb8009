"""The line by which gateways hear at once that sessions are to end; the database is the truth.

A message names sessions and nothing more: who hears it looks at the rows. A lost one costs
the second until the gateway's next look.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from functools import partial
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings
from django.db import transaction

log = logging.getLogger(__name__)

NAME = "jit.sessions.end"
_TIMEOUT = 1.0
_AGAIN_AFTER = 0.5


def tell_on_commit(sessions: Sequence[UUID]) -> None:
    """Tell the gateways, once committed, to look at these sessions."""
    transaction.on_commit(partial(_tell, [str(session) for session in sessions]))


def _tell(sessions: list[str]) -> None:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
        ) as client:
            client.publish(NAME, json.dumps(sessions))
    except (redis.RedisError, OSError):
        log.warning("could not tell the gateways; they look by themselves", exc_info=True)


async def listen() -> AsyncIterator[list[str]]:
    """Yield the sessions of each message, for ever; a broken line is joined again, and an
    empty list is yielded whenever messages may have been missed.
    """
    while True:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=_TIMEOUT)
        try:
            async with client.pubsub() as line:
                await line.subscribe(NAME)
                yield []
                async for message in line.listen():
                    if message["type"] == "message":
                        yield json.loads(message["data"])
        except (redis.RedisError, OSError, ValueError):
            log.warning("lost the line to Valkey; looking at the database alone", exc_info=True)
        finally:
            await client.aclose()
        await asyncio.sleep(_AGAIN_AFTER)

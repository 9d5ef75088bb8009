"""The connections of Django's cache: one pool a process.

Django's Redis client makes a pool of its own, and a cache client for each context; under ASGI that
is each request, whose connection would be new each time and left to the garbage collector.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import redis

PATIENCE = 2.0
"""Seconds to wait for an answer: what the cache spares is not worth more, and each request asks."""


class OnePool(redis.ConnectionPool):
    """The pool of a server, the same whoever asks (`pool_class` of Django's OPTIONS)."""

    _pools: ClassVar[dict[str, Any]] = {}

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        pool: Self | None = cls._pools.get(url)
        if pool is None:
            limits = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
            pool = cls._pools.setdefault(url, super().from_url(url, **limits | options))
        return pool

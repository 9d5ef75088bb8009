"""The cache's connections are few, whatever asks for them."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor

import redis
from django.conf import settings
from django.core.cache import cache


def connections_made() -> int:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return int(client.info("stats")["total_connections_received"])


def test_a_new_context_does_not_open_a_new_connection():
    cache.set("here", 1)
    before = connections_made()
    with ThreadPoolExecutor(1) as thread:
        for _ in range(5):
            thread.submit(contextvars.Context().run, lambda: cache.get("here")).result()
    assert connections_made() == before + 1  # ours that asks

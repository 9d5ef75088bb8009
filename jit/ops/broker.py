"""Is the broker there, and how much waits in its queues?"""

from __future__ import annotations

import redis
from django.conf import settings

TIMEOUT_SECONDS = 1.0


class BrokerAway(Exception):
    """The broker did not answer; the message says how, without its address's password."""


def waiting() -> dict[str, int]:
    """Return how many messages wait in each of our queues. Raises BrokerAway."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        ) as client:
            names = [queue.name for queue in settings.CELERY_TASK_QUEUES]
            return {name: int(client.llen(name)) for name in names}
    except (redis.RedisError, OSError) as away:
        raise BrokerAway(type(away).__name__) from None

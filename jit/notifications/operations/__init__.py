"""Writes of the outbox: `from jit.notifications import operations as notifications`."""

from __future__ import annotations

from jit.notifications.operations.again import try_again
from jit.notifications.operations.endpoints import (
    EndpointTaken,
    change_endpoint,
    create_endpoint,
    disable_endpoint,
    remove_endpoint,
    rotate_secret,
    send_test,
)
from jit.notifications.operations.outbox import News, deliver_soon, notify, notify_all
from jit.notifications.operations.reading import (
    mark_read,
    mark_read_about,
    set_preferences,
    settle,
)

__all__ = [
    "EndpointTaken",
    "News",
    "change_endpoint",
    "create_endpoint",
    "deliver_soon",
    "disable_endpoint",
    "mark_read",
    "mark_read_about",
    "notify",
    "notify_all",
    "remove_endpoint",
    "rotate_secret",
    "send_test",
    "set_preferences",
    "settle",
    "try_again",
]

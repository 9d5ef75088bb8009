"""Tell open pages that something changed. A hint carries no state: pages read again."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

from jit.kernel import tasks

log = logging.getLogger(__name__)


async def _send_all(groups: tuple[str, ...], hint: dict[str, str]) -> None:
    layer = get_channel_layer()
    for group in groups:
        await layer.group_send(group, hint)


def _send(groups: tuple[str, ...], hint: dict[str, str]) -> None:
    try:
        async_to_sync(_send_all)(groups, hint)
    except Exception:  # a lost hint costs a page's promptness, nothing else
        log.warning("could not hint %s", groups, exc_info=True)


def about_request(request_id: UUID, *, people: Iterable[UUID] = ()) -> None:
    """Hint, once committed, that the request (or its grant) changed: to everybody looking at
    it, to `people`, and to the operators' pages.
    """
    groups = (
        f"request.{request_id.hex}",
        "operators",
        *sorted(f"person.{person.hex}" for person in set(people)),
    )
    hint = {"type": "hint", "about": "request", "id": str(request_id)}
    transaction.on_commit(partial(_send, groups, hint))
    for name in settings.REQUEST_CHANGED_TASKS:
        tasks.enqueue_on_commit(name, str(request_id))

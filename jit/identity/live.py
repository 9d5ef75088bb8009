"""Telling open websockets to ask again whether their person may still be there."""

from __future__ import annotations

import logging
import uuid

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from jit.identity.models import User

log = logging.getLogger(__name__)


def group_of(user_id: uuid.UUID) -> str:
    """Return the channel group that every websocket of an account listens to."""
    return f"identity.user.{user_id.hex}"


def ask_again_on_commit(user: User) -> None:
    """Hint to the account's websockets, once the change has committed, to ask again.

    A lost hint costs promptness only: they ask every few seconds anyway.
    """
    group = group_of(user.pk)

    def _hint() -> None:
        try:
            async_to_sync(get_channel_layer().group_send)(group, {"type": "identity.ask-again"})
        except Exception:  # the row is the truth; a broker that is down must not undo it
            log.warning("could not reach the websockets of %s", group, exc_info=True)

    transaction.on_commit(_hint)

"""The inbox on our own pages: the row is the message; open pages get a hint to read it."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from jit.notifications.channels.base import DeliveryFailed, Note


class InApp:
    def deliver(self, note: Note) -> None:
        """Hint to the person's open pages. A hint carries no data: the page reads again."""
        if note.recipient is None:
            raise DeliveryFailed("nobody to tell", permanent=True)
        hint = {"type": "hint", "about": "notification", "id": "person"}
        try:
            async_to_sync(get_channel_layer().group_send)(f"person.{note.recipient.pk.hex}", hint)
        except Exception as failure:
            why = f"open pages could not be told: {type(failure).__name__}"
            raise DeliveryFailed(why, lane_down=True) from failure

"""The inbox on our own pages: the row is the message; open pages get a hint to read it."""

from __future__ import annotations

from collections.abc import Sequence

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from jit.notifications.channels.base import DeliveryFailed, Note


class InApp:
    def deliver(self, note: Note) -> None:
        self.deliver_all([note])

    def deliver_all(self, notes: Sequence[Note]) -> None:
        """Hint to the open pages of these people, once to each however much there is for them.
        A hint carries no data: the page reads again.
        """
        people = {note.recipient.pk.hex for note in notes if note.recipient is not None}
        try:
            async_to_sync(_hint)(sorted(people))
        except Exception as failure:
            why = f"open pages could not be told: {type(failure).__name__}"
            raise DeliveryFailed(why, lane_down=True) from failure


async def _hint(people: Sequence[str]) -> None:
    layer = get_channel_layer()
    for person in people:
        hint = {"type": "hint", "about": "notification", "id": "person"}
        await layer.group_send(f"person.{person}", hint)

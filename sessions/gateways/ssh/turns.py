"""On a connection that came in by a one-use password: one session at a time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import asyncssh

from sessions.states import Proof

ONE_AT_A_TIME = (
    "A one-use password opens one session at a time. End the other one, come with another "
    "password, or use a key or a certificate for several."
)


def one_at_a_time[Client: Any](
    requested: Callable[[Client], Any],
) -> Callable[[Client], Any]:
    """Refuse a session while the same password's connection has another, or just opens one. Its
    forwards are no session of this kind; whatever is opened is admitted anew.
    """
    opening: set[Client] = set()

    @functools.wraps(requested)
    def in_turn(client: Client) -> Any:
        if client.caller.proof is not Proof.TOKEN:
            return requested(client)
        if client in opening or any(front.asked.kind != "forwards" for front in client.fronts):
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, ONE_AT_A_TIME
            )
        opening.add(client)
        session = asyncio.ensure_future(requested(client))
        session.add_done_callback(lambda _: opening.discard(client))
        return session

    return in_turn

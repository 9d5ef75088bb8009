"""What the gateway never gives, and that somebody asked for it: ports back, sockets, agent, X11.

asyncssh refuses these by itself; here each attempt goes on the record of a session.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh

from jit.kernel.errors import DomainError

if TYPE_CHECKING:
    from sessions.gateways.ssh.visitor import Visitor

AGENT, SCREEN = "the person's agent", "the person's screen (X11)"


def refuse(visitor: Visitor, to: str) -> bool:
    """Have the attempt written down, and return the no."""
    visitor.gateway.house.spawn(_note(visitor, to))
    return False


async def _note(visitor: Visitor, to: str) -> None:
    """Mark the attempt in a session of this connection: in one that is open, else in that of
    its forwards.
    """
    front = max(visitor.fronts, key=lambda front: front.admitted.session_id, default=None)
    if front is None:
        # Who is not let in at all is on record in the audit log.
        with suppress(asyncssh.ChannelOpenError, DomainError):
            front = await visitor.forwarding_session()
    if front is not None:
        front.tape.mark({"kind": "forward", "to": to, "refused": True})


def note_on(connection: asyncssh.SSHServerConnection, visitor: Visitor) -> None:
    """Hear of agent and X11: for these asyncssh asks its connection, and nobody else."""

    async def no_agent() -> bool:
        return refuse(visitor, AGENT)

    async def no_screen(*_asked: Any) -> None:
        refuse(visitor, SCREEN)

    connection.create_agent_listener = no_agent  # type: ignore[method-assign]
    connection.attach_x11_listener = no_screen  # type: ignore[method-assign,assignment]

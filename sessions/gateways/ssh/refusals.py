"""What the gateway never gives, and that somebody asked for it: ports back, sockets, agent, X11.

asyncssh refuses these by itself; here each attempt goes on the record of a session.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import asyncssh

from jit.kernel.errors import DomainError
from sessions.gateways.ssh.interfaces import IncomingConnection

AGENT, SCREEN = "the person's agent", "the person's screen (X11)"


def refuse(client: IncomingConnection, to: str) -> bool:
    """Have the attempt written down, and return the no."""
    client.gateway.supervisor.spawn(_note(client, to))
    return False


async def _note(client: IncomingConnection, to: str) -> None:
    """Mark the attempt in a session of this connection: in one that is open, else in that of
    its forwards.
    """
    front = max(client.fronts, key=lambda front: front.admitted.session_id, default=None)
    if front is None:
        # Who is not let in at all is on record in the audit log.
        with suppress(asyncssh.ChannelOpenError, DomainError):
            front = await client.forwarding_session()
    if front is not None:
        front.recording.mark({"kind": "forward", "to": to, "refused": True})


def note_on(connection: asyncssh.SSHServerConnection, client: IncomingConnection) -> None:
    """Hear of agent and X11: for these asyncssh asks its connection, and nobody else."""

    async def no_agent() -> bool:
        return refuse(client, AGENT)

    async def no_screen(*_asked: Any) -> None:
        refuse(client, SCREEN)

    connection.create_agent_listener = no_agent  # type: ignore[method-assign]
    connection.attach_x11_listener = no_screen  # type: ignore[method-assign,assignment]

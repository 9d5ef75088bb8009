"""Calling the gateway: with a one-use password of door `web`, and only if it is our gateway."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import asyncssh
from channels.db import database_sync_to_async
from django.conf import settings

from jit.identity.models import User
from jit.kernel.errors import DomainError, NotAllowed
from sessions.gateways.ssh import host_keys
from sessions.gateways.ssh.negotiating import GCM
from sessions.offers import host_and_port
from sessions.operations import entering
from sessions.terminal.line import Line

TERM = "xterm-256color"
TIMEOUT = 15


class GatewayAway(DomainError):
    """The gateway does not answer, or is not the one whose key we know."""

    status = 503


class NotLetIn(NotAllowed):
    """The gateway refused; the detail is its own sentence."""


def known_keys() -> list[asyncssh.SSHKey]:
    """Return the host keys by which the gateway proves who it is."""
    return [asyncssh.import_public_key(line) for line in host_keys.public_lines()]


async def call(
    *,
    grant_id: UUID,
    user: User,
    browser: str,
    host: str,
    size: tuple[int, int],
    source_address: str,
    client: str,
) -> Line:
    """Return a shell under the grant, on the host of that name or the target's first.

    Raises the refusals of `entering.enter`, GatewayAway and NotLetIn.
    """
    for attempt in (1, 2):
        entry = await database_sync_to_async(entering.enter)(
            grant_id=grant_id, user=user, source_address=source_address, client=client
        )
        try:
            return await _call(
                entry, host=host, size=size, grant_id=grant_id, owner=(str(user.pk), browser)
            )
        except asyncssh.PermissionDenied as refused:
            # Another tab that opened at this very moment made our password void: once more.
            if attempt == 2:  # noqa: PLR2004 -- the second of two
                raise NotLetIn("The gateway did not take our password; try again.") from refused
        except asyncssh.ChannelOpenError as refused:
            raise NotLetIn(str(refused.reason)) from refused
        except asyncssh.HostKeyNotVerifiable as stranger:
            raise GatewayAway(
                "What answers at the gateway's address does not have the gateway's key. Tell "
                "your operators; nothing was sent to it."
            ) from stranger
        except (OSError, asyncssh.Error, TimeoutError) as away:
            raise GatewayAway("The SSH gateway does not answer. Try again in a minute.") from away
    raise AssertionError("unreachable")


async def _call(
    entry: entering.Entry, *, host: str, size: tuple[int, int], grant_id: UUID,
    owner: tuple[str, str],
) -> Line:  # fmt: skip
    address, port = host_and_port(settings.SSH_GATEWAY_FROM_WEB or settings.GATEWAYS["ssh"])
    connection = await asyncssh.connect(
        address,
        port,
        username=f"{entry.role}+{host}" if host else entry.role,
        password=entry.password,
        known_hosts=(known_keys(), [], []),
        client_keys=None,
        agent_path=None,
        config=None,
        preferred_auth="password",
        encryption_algs=GCM,
        compression_algs=None,
        keepalive_interval=15,
        keepalive_count_max=2,
        client_version="jit-web-terminal",
        login_timeout=TIMEOUT,
        connect_timeout=TIMEOUT,
    )
    try:
        _, line = await connection.create_session(
            lambda: Line(connection, grant_id=grant_id, owner=owner),
            request_pty="force",
            term_type=TERM,
            term_size=size,
            encoding=None,
        )
    except BaseException:
        connection.abort()
        raise
    return cast("Line", line)

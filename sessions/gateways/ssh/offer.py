"""What somebody types to come in by ssh."""

from __future__ import annotations

import datetime as dt

from jit.elevation.models import Grant
from sessions.offers import host_and_port
from sessions.operations import tokens
from sessions.states import Door


def offer(*, grant: Grant, address: str, now: dt.datetime) -> dict[str, str]:
    host, port = host_and_port(address)
    return {
        "host": host,
        "port": str(port),
        "user": grant.role.slug,
        "password": tokens.issue(grant=grant, door=Door.SSH, now=now),
        "command": f"ssh -p {port} {grant.role.slug}@{host}",
    }

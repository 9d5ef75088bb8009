"""What somebody types to come in by ssh."""

from __future__ import annotations

import datetime as dt
import logging

import asyncssh

from jit.elevation.models import Grant
from sessions.fingerprints import fingerprint_of
from sessions.gateways.ssh import host_keys
from sessions.offers import host_and_port
from sessions.operations import tokens
from sessions.states import Door

log = logging.getLogger(__name__)


def offer(*, grant: Grant, address: str, now: dt.datetime) -> dict[str, str]:
    host, port = host_and_port(address)
    return {
        "host": host,
        "port": str(port),
        "user": grant.role.slug,
        "password": tokens.issue(grant=grant, door=Door.SSH, now=now),
        "command": f"ssh -p {port} {grant.role.slug}@{host}",
        **_known_by(host, port),
    }


def _known_by(host: str, port: int) -> dict[str, str]:
    """Return what tells the gateway from whoever else answers at its address, before a password
    is typed there: the fingerprint that ssh asks about, and the line that answers it.
    """
    try:
        lines = host_keys.known_hosts(host, port)
    except (OSError, asyncssh.KeyImportError) as error:
        log.warning("the gateway's public host keys can't be told: %s", error)
        return {}
    prints = [fingerprint_of(line.split(" ", 1)[1]) for line in lines]
    return {"host_key": "\n".join(prints), "known_hosts": "\n".join(lines)}

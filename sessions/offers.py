"""How a grant is reached through a gateway: the line to type, and the password for it."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from jit.elevation.models import Grant


class Offer(Protocol):
    """One kind of target's way in, listed in OFFERS by its dotted path."""

    def __call__(self, *, grant: Grant, address: str, now: dt.datetime) -> dict[str, str]: ...


OFFERS = {
    "postgresql": "sessions.gateways.postgresql.offer.offer",
    "ssh": "sessions.gateways.ssh.offer.offer",
}


def offer(*, grant: Grant, now: dt.datetime) -> dict[str, str] | None:
    """Return what the holder is handed, in the caller's transaction: `host`, `port`, `user`,
    a one-use `password` and a ready command; None where no gateway serves such targets.
    """
    kind = grant.target.kind
    address = settings.GATEWAYS.get(kind, "")
    if not address or kind not in OFFERS:
        return None
    make: Offer = import_string(OFFERS[kind])
    return make(grant=grant, address=address, now=now)


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two halves of `host:port`; a host in brackets is an IPv6 address."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)

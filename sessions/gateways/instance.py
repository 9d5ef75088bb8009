"""Where a gateway runs: its address, its spool, and the lock that keeps it alone there."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from sessions.offers import host_and_port


class SpoolTaken(Exception):
    """Another gateway of the kind runs on this spool."""


class CantListen(Exception):
    """The gateway's address can't be had; the message says why, and what to set."""


@dataclass(frozen=True, slots=True)
class GatewayInstance:
    """`name` tells this place from all others, over restarts."""

    name: str
    spool: Path


def listens_at(kind: str) -> tuple[str, int]:
    """Return the host and port that the gateway of `kind` is to listen at."""
    return host_and_port(settings.GATEWAY_LISTENS[kind])


@contextmanager
def claimed(kind: str) -> Iterator[GatewayInstance]:
    """Hold this machine's place for a gateway of `kind`; raises PlaceTaken."""
    spool: Path = settings.RECORDINGS_SPOOL
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(spool / f"{kind}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise SpoolTaken(
                f"another {kind} gateway runs on {spool}. Give each its own JIT_RECORDINGS_SPOOL."
            ) from held
        yield GatewayInstance(name=f"{socket.gethostname()}:{spool}"[:200], spool=spool)
    finally:
        os.close(lock)


def listening(kind: str) -> socket.socket:
    """Return a socket that listens where the gateway of `kind` is to; raises CantListen.

    Before the gateway is registered: one that nobody can reach must not look as if it ran.
    """
    host, port = listens_at(kind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as taken:
        raise CantListen(
            f"the {kind} gateway can't listen at {host}:{port}: {taken.strerror or taken}. End "
            f"what listens there, or set JIT_{kind.upper()}_GATEWAY_LISTEN to another address"
        ) from taken

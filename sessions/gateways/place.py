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


class PlaceTaken(Exception):
    """Another gateway of the kind runs on this spool."""


@dataclass(frozen=True, slots=True)
class Place:
    """`name` tells this place from all others, over restarts."""

    name: str
    spool: Path


def listens_at(kind: str) -> tuple[str, int]:
    """Return the host and port that the gateway of `kind` is to listen at."""
    return host_and_port(settings.GATEWAY_LISTENS[kind])


@contextmanager
def taken(kind: str) -> Iterator[Place]:
    """Hold this machine's place for a gateway of `kind`; raises PlaceTaken."""
    spool: Path = settings.RECORDINGS_SPOOL
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(spool / f"{kind}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise PlaceTaken(
                f"another {kind} gateway runs on {spool}. Give each its own JIT_RECORDINGS_SPOOL."
            ) from held
        yield Place(name=f"{socket.gethostname()}:{spool}"[:200], spool=spool)
    finally:
        os.close(lock)

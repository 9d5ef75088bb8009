"""The keys by which a session can be cancelled from another connection."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable

from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import u32

_SHORT, _LONG = 4, 32
"""Bytes of a key; clients of protocol 3.2 take longer ones."""


class CancelKeys:
    """Ours, not the targets': a cancel comes to us, and we pass it on to the right backend."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[bytes, Callable[[], Awaitable[None]]]] = {}

    def issue(self, cancel: Callable[[], Awaitable[None]], *, version: int) -> tuple[int, bytes]:
        """Return a new process id and the message that tells the client of it and its key."""
        key = secrets.token_bytes(_LONG if version >= framing.PROTOCOL_3_2 else _SHORT)
        pid = 0
        while not pid or pid in self._known:
            pid = secrets.randbits(31)
        self._known[pid] = (key, cancel)
        return pid, framing.message(b"K", u32.pack(pid) + key)

    def revoke(self, pid: int) -> None:
        self._known.pop(pid, None)

    async def cancel(self, pid: int, key: bytes) -> None:
        """Cancel what runs in the session with this key, if there is one; return once the
        target was told, since that is when clients expect their connection to be shut.
        """
        known = self._known.get(pid)
        if known is not None and hmac.compare_digest(known[0], key):
            await known[1]()

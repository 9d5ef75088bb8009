"""The bytes of one file in one direction, put in order as far as a bounded window allows."""

from __future__ import annotations

import hashlib
from typing import Any

WINDOW = 4 * 1024 * 1024
"""Bytes that all files of a session may have waiting for what comes before them. Clients that
write many pieces at once have 2 MiB under way.
"""


class Window:
    """The room that one session's streams share."""

    def __init__(self, size: int = WINDOW) -> None:
        self.left = size


class Stream:
    """Counts what passes. Its digest is told only if every byte from the first on was seen once
    and in some order that the window could put right; without that there is none.
    """

    def __init__(self, window: Window) -> None:
        self.bytes = 0
        self.whole = True
        self._window = window
        self._hashed = 0
        self._waiting: dict[int, bytes] = {}
        self._digest = hashlib.sha256()

    def take(self, offset: int, body: memoryview) -> None:
        self.bytes += len(body)
        if not self.whole or not body:
            return
        if offset == self._hashed:
            self._hash(body)
            while (waiting := self._waiting.pop(self._hashed, None)) is not None:
                self._window.left += len(waiting)
                self._hash(waiting)
        elif offset < self._hashed or offset in self._waiting or len(body) > self._window.left:
            self.spoil()
        else:
            self._window.left -= len(body)
            self._waiting[offset] = bytes(body)

    def failed(self, length: int) -> None:
        """Take back bytes that the other end did not take."""
        self.bytes -= length
        self.spoil()

    def spoil(self) -> None:
        """Tell no digest: not everything that matters was seen, or not in a knowable order."""
        self.whole = False
        self._window.left += sum(map(len, self._waiting.values()))
        self._waiting.clear()

    def told(self) -> dict[str, Any]:
        """Return bytes and digest, and let go of the window."""
        if self._waiting:
            self.spoil()
        digest = {"sha256": self._digest.hexdigest()} if self.whole else {}
        return {"bytes": self.bytes, **digest}

    def _hash(self, body: memoryview | bytes) -> None:
        self._digest.update(body)
        self._hashed += len(body)

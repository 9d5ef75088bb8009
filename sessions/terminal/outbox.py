"""What a terminal said and its browser has not acknowledged yet, by its place in all of it."""

from __future__ import annotations

WINDOW = 256 * 1024
"""Bytes that may be under way to one browser; a slow one holds the target back beyond that."""
LOW = WINDOW // 2
CHUNK = 32 * 1024
TAIL = 64 * 1024
"""Bytes kept of what was acknowledged, for a page that was loaded anew and shows nothing."""


class Outbox:
    """Bytes of everything that was ever said, counted from the first: up to `start` the browser
    has drawn them, up to `sent` they are under way, and at `end` come the next.

    A browser that comes back says how many it has, and hears the rest: none is lost and none
    comes twice.
    """

    def __init__(self) -> None:
        self.start = 0
        self.sent = 0
        self._base = 0
        self._kept = bytearray()

    @property
    def end(self) -> int:
        return self._base + len(self._kept)

    @property
    def full(self) -> bool:
        """Whether no more should be read from the target."""
        return self.end - self.start >= WINDOW

    @property
    def low(self) -> bool:
        return self.end - self.start <= LOW

    def add(self, data: bytes) -> None:
        self._kept += data

    def take(self) -> bytes:
        """Return the next bytes to send, or none while the window is used up."""
        upto = max(min(self.end, self.start + WINDOW, self.sent + CHUNK), self.sent)
        data = bytes(self._kept[self.sent - self._base : upto - self._base])
        self.sent = upto
        return data

    def acknowledge(self, upto: int) -> None:
        """Let go of what the browser has drawn. More than was sent is not believed."""
        self.start = max(self.start, min(upto, self.sent))
        gone = self.start - TAIL - self._base
        if gone > 0:
            del self._kept[:gone]
            self._base += gone

    def resume(self, upto: int | None) -> bool:
        """Begin again after the first `upto` bytes, or for None with the tail of what was
        drawn; return False for a place long gone.
        """
        if upto is None:
            upto = self._base
        if not self._base <= upto <= self.end:
            return False
        self.sent = upto
        return True

"""SFTP's packets, cut out of a stream and taken apart."""

from __future__ import annotations

LARGEST_PACKET = 1 << 20
"""OpenSSH sends at most 256 KiB; what claims to be larger is no SFTP."""
_LENGTH = 4


class Frames:
    """Cuts a stream into packets: four bytes of length, then so many. From the first on that
    can't be one, all is foreign.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._lost = False

    def of(self, data: bytes) -> list[bytes]:
        """Return the packets that are whole now."""
        self._buffer += data
        packets: list[bytes] = []
        at, size = 0, len(self._buffer)
        while not self._lost and size - at >= _LENGTH:
            length = int.from_bytes(self._buffer[at : at + _LENGTH])
            if length > LARGEST_PACKET or not length:
                self._lost = True
                break
            end = at + _LENGTH + length
            if size < end:
                break
            packets.append(bytes(self._buffer[at + _LENGTH : end]))
            at = end
        del self._buffer[:at]
        return packets

    def foreign(self) -> bytes:
        """Take what came since and is known to be no packet."""
        return self.rest() if self._lost else b""

    def rest(self) -> bytes:
        """Take all that is not part of a whole packet."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


class Reader:
    """Takes a packet apart; what is missing reads as nothing, since a tap must never raise."""

    def __init__(self, packet: bytes) -> None:
        self._packet = memoryview(packet)
        self._at = 0

    def _take(self, size: int) -> memoryview:
        part = self._packet[self._at : self._at + size]
        self._at += size
        return part

    def byte(self) -> int:
        return int.from_bytes(self._take(1))

    def uint32(self) -> int:
        return int.from_bytes(self._take(4))

    def uint64(self) -> int:
        return int.from_bytes(self._take(8))

    def view(self) -> memoryview:
        return self._take(self.uint32())

    def string(self) -> bytes:
        return bytes(self.view())

    def text(self) -> str:
        return self.string().decode("utf-8", "replace")

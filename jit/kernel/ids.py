"""Identifiers that sort by time of making and can be made without asking the database."""

from __future__ import annotations

import os
import time
import uuid

_VERSION_7 = 0x7 << 76 | 0b10 << 62
_WITHOUT_VERSION = ~(0xF << 76 | 0b11 << 62)


def uuid7() -> uuid.UUID:
    """Return a UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix
    milliseconds, then 74 random bits.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    return uuid.UUID(int=value & _WITHOUT_VERSION | _VERSION_7)

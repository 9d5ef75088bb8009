"""Reads a spool file that its own gateway writes: piece by piece, and back from its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from sessions.recording import asciicast, keys
from sessions.recording.asciicast import Event
from sessions.recording.segments import HEADER_SIZE, Header, Opener, Preamble

OBJECT_BYTES = 1024 * 1024
OBJECT_PLAIN = 16 * 1024 * 1024
"""An object of the store is full at either."""


def headers(path: Path, offset: int, end: int) -> Iterator[tuple[int, Header]]:
    """Yield (offset, header) of the pieces of a sound file between two offsets."""
    with path.open("rb") as file:
        if not offset:
            _, offset = Preamble.decode(file.read(4096))
        while offset < end:
            header = Header.decode(os.pread(file.fileno(), HEADER_SIZE, offset))
            yield offset, header
            offset += header.size


def objects_in(path: Path, offset: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first piece, last piece, start, stop) of the objects to make of a spool's bytes."""
    start, first, plain, last, stop = offset, -1, 0, -1, offset
    for at, header in headers(path, offset, end):
        if first < 0:
            first = header.seq
        last, stop = header.seq, at + header.size
        plain += header.plain_size
        if stop - start >= OBJECT_BYTES or plain >= OBJECT_PLAIN:
            yield first, last, start, stop
            start, first, plain = stop, -1, 0
    if first >= 0:
        yield first, last, start, stop


def backwards(session_id: UUID, path: Path, end: int) -> Iterator[list[Event]]:
    """Yield the events of each piece before offset `end`, the last piece first."""
    with path.open("rb") as file:
        preamble, _ = Preamble.decode(file.read(4096))
        key = keys.unwrap(preamble.wrapped_key, session_id=session_id)
        opener = Opener(key=key, preamble=preamble)
        for offset, header in reversed(list(headers(path, 0, end))):
            plain = opener.open(header, os.pread(file.fileno(), header.size, offset))
            yield list(asciicast.events(plain.splitlines(), start=header.first))

"""What the recorder's tests share: a tape's lines read back from the spool, and damage to do."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sessions.recording import asciicast, keys, segments
from sessions.recording.asciicast import Event
from sessions.recording.writer import RecordingWriter

HEADER = {"term": {"cols": 80, "rows": 24, "type": "xterm-256color"}, "title": "orders-db"}


def opened(data: bytes) -> tuple[segments.Opener, int]:
    """Return what opens the pieces of a recording's bytes, and where they begin."""
    preamble, start = segments.Preamble.decode(data)
    key = keys.unwrap(preamble.wrapped_key, session_id=preamble.session_id)
    return segments.Opener(key=key, preamble=preamble), start


def contents(data: bytes) -> list[bytes]:
    """Return the lines of each whole piece in a recording's bytes."""
    opener, start = opened(data)
    return [
        opener.open(each.header, each.bytes_in(data))
        for each in segments.scan(data, opener, start)
        if isinstance(each, segments.FoundSegment)
    ]


def lines(path: Path) -> bytes:
    """Return all lines of the recording at `path`, the header's first."""
    return b"".join(contents(path.read_bytes()))


def events(path: Path) -> list[Event]:
    return list(asciicast.events(lines(path).splitlines()))


def made(contents: list[bytes], *, final: bool = True) -> tuple[bytes, list[int]]:
    """Return a recording's bytes with one piece for each of `contents`, and where each begins."""
    import zstandard

    session_id, key = uuid.uuid4(), keys.new()
    preamble = segments.Preamble(
        session_id, 1_000_000, segments.new_nonce(), keys.wrap(key, session_id=session_id)
    )
    sealer = segments.Sealer(key=key, preamble=preamble)
    packer = zstandard.ZstdCompressor()
    data, offsets = preamble.encode(), []
    for number, plain in enumerate(contents):
        offsets.append(len(data))
        data += sealer.seal(
            packer,
            plain,
            first=number * 500_000,
            last=number * 500_000 + 1,
            wall=1_000_000 + number * 500_000,
            final=final and number == len(contents) - 1,
        )
    return data, offsets


def until(truth: Callable[[], Any], seconds: float = 5) -> None:
    """Wait for what another thread does."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not truth():
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.01)


def until_written(tape: RecordingWriter) -> None:
    """Wait until all that the tape was given stands on the disk."""
    until(lambda: tape.head.lines == tape._count)

"""One session's recording, as its gateway holds it: calls that never block."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import zstandard

from sessions.recording import asciicast, terminal
from sessions.recording.segments import Sealer
from sessions.recording.spool import write_all

PIECE_BYTES = 256 * 1024
"""So many bytes of lines are written at once, without waiting for the next turn."""


@dataclass(frozen=True, slots=True)
class RecordingCheckpoint:
    """How far a recording has come: what stands on the disk for certain."""

    pieces: int
    size: int
    """Bytes in the spool, the preamble included."""
    digest: bytes
    """SHA-256 of the last piece (of the preamble before there is one)."""
    lines: int
    last: int
    """Microseconds from the beginning to the last line."""
    final: bool


@dataclass(slots=True)
class LineBatch:
    """Lines taken from a writer, on their way to the disk."""

    lines: list[bytes]
    size: int
    first: int
    last: int
    final: bool


class WriterOwner(Protocol):
    """What a writer needs of the recorder it belongs to."""

    def noticed(self, writer: RecordingWriter, size: int, *, urgent: bool) -> None: ...

    async def room(self) -> None: ...

    def failed(self, writer: RecordingWriter, why: str) -> None: ...


class RecordingWriter:
    """Takes down what one session shows; see `Recorder.open`.

    All its methods may be called from the event loop or any other thread. After a failure they
    do nothing: `failed` says why, and `on_failure` was called.
    """

    __slots__ = (
        "_batch",
        "_closing",
        "_count",
        "_descriptor",
        "_done",
        "_failed",
        "_lines",
        "_lock",
        "_owner",
        "_sealer",
        "head",
        "header",
        "loop",
        "on_failure",
        "preamble",
        "session_id",
        "watched",
    )

    def __init__(
        self,
        *,
        owner: WriterOwner,
        session_id: uuid.UUID,
        descriptor: int,
        sealer: Sealer,
        preamble: bytes,
        on_failure: Callable[[uuid.UUID, str], None],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self.session_id = session_id
        self.on_failure = on_failure
        self.loop = loop
        self.preamble = preamble
        self.head = RecordingCheckpoint(0, len(preamble), sealer.head, 0, 0, final=False)
        self.watched: list[bytes] | None = None
        """Where lines go besides, while somebody watches; taken and set by `watching`."""
        self.header: dict[str, Any] = {}
        """What watchers get as the first line: with the size as it is now, and `has_terminal`."""
        self._owner = owner
        self._descriptor = descriptor
        self._sealer = sealer
        self._lines = asciicast.Lines()
        self._lock = threading.Lock()
        self._batch = LineBatch([], 0, 0, 0, final=False)
        self._count = 0
        self._closing = False
        self._done: Future[RecordingCheckpoint] = Future()
        self._failed = ""

    @property
    def ended(self) -> bool:
        """Return whether nothing more will come."""
        return self.head.final or bool(self._failed)

    @property
    def failed(self) -> str:
        """Return why nothing is recorded any more; empty while all is well."""
        return self._failed

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the recording's first line."""
        self.header = {**header, "term": dict(header.get("term") or {})}
        line = asciicast.header_line(header)
        with self._lock:
            self._add(0, line)
        self._owner.noticed(self, len(line), urgent=False)

    def output(self, data: bytes, *, errors: bool = False) -> None:
        """Record what the person saw (of the program's `errors`). Record first, then pass on."""
        self._bytes("o", data, "errors" if errors else "")

    def input(self, data: bytes) -> None:
        """Record keystrokes: only where policy asks for it, since passwords are among them."""
        self._bytes("i", data)

    def resize(self, columns: int, rows: int) -> None:
        """Record the terminal's new size, or one that can be drawn instead."""
        columns, rows = terminal.usable(columns, rows)
        self.header["term"] |= {"cols": columns, "rows": rows}
        self.header["has_terminal"] = True
        self._text("r", f"{columns}x{rows}")

    def mark(self, fact: Mapping[str, Any]) -> None:
        """Record a fact that isn't shown: `{"kind": "command", "text": …}`, as a marker."""
        self._text("m", asciicast.compact(fact))

    def exit(self, status: int) -> None:
        """Record the exit status of what ran."""
        self._text("x", str(status))

    async def room(self) -> None:
        """Return once the writer's queue is under its bound: call it before reading on."""
        await self._owner.room()

    async def close(self) -> RecordingCheckpoint:
        """Flush, sync and end the recording; return how far it came.

        If it failed, the head is that of the last piece known to be on the disk.
        """
        size = 0
        with self._lock:
            if not self._closing and not self._failed:
                for at, line in self._lines.rest():
                    self._add(at, line)
                    size += len(line)
                self._closing = True
        self._owner.noticed(self, size, urgent=True)
        return await asyncio.wrap_future(self._done)

    def _bytes(self, code: str, data: bytes, stream: str = "") -> None:
        if not data:
            return
        with self._lock:
            if self._closing or self._failed:
                return
            at, line = self._lines.of_bytes(code, data, stream=stream)
            urgent = bool(line) and self._add(at, line)
        if line:
            self._owner.noticed(self, len(line), urgent=urgent)

    def _text(self, code: str, text: str) -> None:
        with self._lock:
            if self._closing or self._failed:
                return
            at, line = self._lines.of_text(code, text)
            urgent = self._add(at, line)
        self._owner.noticed(self, len(line), urgent=urgent)

    def _add(self, at: int, line: bytes) -> bool:
        batch = self._batch
        if not batch.lines:
            batch.first = at
        batch.lines.append(line)
        batch.size += len(line)
        batch.last = at
        self._count += 1
        if self.watched is not None:
            self.watched.append(line)
        return batch.size >= PIECE_BYTES

    def flush(self) -> None:
        """Ask for what waits to be written now."""
        self._owner.noticed(self, 0, urgent=True)

    # For the writer's thread.

    def take(self) -> LineBatch | None:
        """Return what waits to be written, if anything does."""
        with self._lock:
            batch = self._batch
            batch.final = self._closing and not self.head.final
            if self._failed or not (batch.lines or batch.final):
                return None
            last = max(batch.last, self.head.last)
            self._batch = LineBatch([], 0, last, last, final=False)
            return batch

    def write(self, packer: zstandard.ZstdCompressor, batch: LineBatch, *, wall: int) -> int:
        """Write `batch` as the next piece; return its bytes. Raises OSError."""
        piece = self._sealer.seal(
            packer,
            b"".join(batch.lines),
            first=batch.first,
            last=batch.last,
            wall=wall,
            final=batch.final,
        )
        write_all(self._descriptor, piece)
        return len(piece)

    def sync(self) -> None:
        """Wait until the disk has what was written. Raises OSError."""
        os.fdatasync(self._descriptor)

    def settle(self, batch: LineBatch, size: int) -> None:
        """Note that `batch` stands on the disk for certain."""
        head = self.head
        self.head = RecordingCheckpoint(
            pieces=self._sealer.seq,
            size=head.size + size,
            digest=self._sealer.head,
            lines=head.lines + len(batch.lines),
            last=batch.last,
            final=batch.final,
        )
        if batch.final:
            self.release()
            self._end()

    def give_up(self, why: str) -> int:
        """Record no more because of `why`; return the bytes that will never be written.

        The file stays open, since the writer may be at it: whoever knows better releases it.
        """
        with self._lock:
            if self._failed or self.head.final:
                return 0
            self._failed = why
            dropped = self._batch.size
            self._batch = LineBatch([], 0, 0, 0, final=False)
            self.watched = None
        self._end()
        return dropped

    # For those who watch.

    def line_count(self) -> int:
        """Return how many lines there were, written or not."""
        return self._count

    def watch(self) -> None:
        """Keep lines for watchers from here on."""
        with self._lock:
            if self.watched is None:
                self.watched = []

    def unwatch(self) -> None:
        with self._lock:
            self.watched = None

    def watched_lines(self) -> tuple[int, list[bytes]]:
        """Return the number of the first line kept since the last call, and those lines."""
        with self._lock:
            lines = self.watched or []
            if lines:
                self.watched = []
            return self._count - len(lines), lines

    def release(self) -> None:
        """Close the file; the writer's thread does, or whoever knows that it lives no more."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(self.head)

"""The one thread that brings all writers of a process to the disk, many in each turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import zstandard

from sessions.recording.writer import LineBatch, RecordingWriter

log = logging.getLogger(__name__)
TURN = 0.5
"""Seconds at most until what was recorded is on the disk, that of the turn itself apart."""
_LEVEL = 3
_SYNCERS = 4
"""Files are synced side by side: the disk then commits many of them at once."""


class SpoolWriter:
    """Compresses, seals and writes; `failed` hears of every writer that can't be written."""

    def __init__(
        self, *, failed: Callable[[RecordingWriter, str], None], written: Callable[[int], None]
    ) -> None:
        self._failed = failed
        self._written = written
        self._lock = threading.Lock()
        self._dirty: dict[RecordingWriter, None] = {}
        self._urgent: dict[RecordingWriter, None] = {}
        self._wake = threading.Event()
        self._stopping = False
        self.busy_since: float | None = None
        """When the turn under way began, by the monotonic clock; None between turns."""
        self.error = ""
        self._thread = threading.Thread(target=self._run, name="recording-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def noticed(self, writer: RecordingWriter, *, urgent: bool) -> None:
        """Hear that `writer` has something to write: at the next turn, or now."""
        if writer not in self._dirty:
            with self._lock:
                self._dirty[writer] = None
        if urgent and writer not in self._urgent:
            with self._lock:
                self._urgent[writer] = None
            self._wake.set()

    def waiting(self) -> bool:
        """Return whether anything is to be written."""
        return bool(self._dirty)

    def stop(self) -> None:
        """Write what there is and end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(10)

    def _run(self) -> None:
        packer = zstandard.ZstdCompressor(level=_LEVEL)
        try:
            with ThreadPoolExecutor(_SYNCERS, thread_name_prefix="recording-sync") as syncers:
                turn = time.monotonic()
                while not self._stopping:
                    urgent = self._wake.wait(max(0.0, turn + TURN - time.monotonic()))
                    self._wake.clear()
                    if urgent and time.monotonic() < turn + TURN:
                        self._turn(self._taken(self._urgent), packer, syncers)
                        continue
                    turn = time.monotonic()
                    self._turn(self._taken(self._dirty), packer, syncers)
                self._turn(self._taken(self._dirty), packer, syncers)
        except BaseException as broken:
            self.error = f"the recording's writer broke: {type(broken).__name__}: {broken}"
            log.critical("nothing is recorded any more: %s", self.error, exc_info=True)
            if not isinstance(broken, Exception):
                raise

    def _taken(self, which: dict[RecordingWriter, None]) -> list[RecordingWriter]:
        with self._lock:
            writers = list(which)
            if which is self._dirty:
                self._dirty, self._urgent = {}, {}
            else:
                self._urgent = {}
                for writer in writers:
                    self._dirty.pop(writer, None)
            return writers

    def _turn(
        self,
        writers: Iterable[RecordingWriter],
        packer: zstandard.ZstdCompressor,
        syncers: ThreadPoolExecutor,
    ) -> None:
        self.busy_since = time.monotonic()
        wall = time.time_ns() // 1000
        written: list[tuple[RecordingWriter, LineBatch, int]] = []
        for writer in writers:
            batch = writer.take()
            if batch is None:
                if writer.failed:
                    writer.release()
                continue
            try:
                size = writer.write(packer, batch, wall=wall)
            except OSError as refused:
                self._lost(writer, batch, f"the spool can't be written: {refused.strerror}")
            else:
                written.append((writer, batch, size))
        errors = (
            syncers.map(_sync, [writer for writer, _, _ in written])
            if len(written) > 1
            else [_sync(writer) for writer, _, _ in written]
        )
        for (writer, batch, size), error in zip(written, errors, strict=True):
            if error:
                # What a failed sync left in memory is marked clean: it can't be asked for again.
                self._lost(writer, batch, f"the spool's disk does not keep what it takes: {error}")
            else:
                writer.settle(batch, size)
                self._written(batch.size)
        self.busy_since = None

    def _lost(self, writer: RecordingWriter, batch: LineBatch, why: str) -> None:
        self._written(batch.size)
        self._failed(writer, why)
        writer.release()


def _sync(writer: RecordingWriter) -> str:
    try:
        writer.sync()
    except OSError as refused:
        return refused.strerror or str(refused)
    return ""

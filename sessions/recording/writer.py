"""The one thread that brings all tapes of a process to the disk, many in each turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import zstandard

from sessions.recording.tape import Batch, Tape

log = logging.getLogger(__name__)
TURN = 0.5
"""Seconds at most until what was recorded is on the disk, that of the turn itself apart."""
_LEVEL = 3
_SYNCERS = 4
"""Files are synced side by side: the disk then commits many of them at once."""


class Writer:
    """Compresses, seals and writes; `failed` hears of every tape that can't be written."""

    def __init__(
        self, *, failed: Callable[[Tape, str], None], written: Callable[[int], None]
    ) -> None:
        self._failed = failed
        self._written = written
        self._lock = threading.Lock()
        self._dirty: dict[Tape, None] = {}
        self._urgent: dict[Tape, None] = {}
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

    def noticed(self, tape: Tape, *, urgent: bool) -> None:
        """Hear that `tape` has something to write: at the next turn, or now."""
        if tape not in self._dirty:
            with self._lock:
                self._dirty[tape] = None
        if urgent and tape not in self._urgent:
            with self._lock:
                self._urgent[tape] = None
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

    def _taken(self, which: dict[Tape, None]) -> list[Tape]:
        with self._lock:
            tapes = list(which)
            if which is self._dirty:
                self._dirty, self._urgent = {}, {}
            else:
                self._urgent = {}
                for tape in tapes:
                    self._dirty.pop(tape, None)
            return tapes

    def _turn(
        self,
        tapes: Iterable[Tape],
        packer: zstandard.ZstdCompressor,
        syncers: ThreadPoolExecutor,
    ) -> None:
        self.busy_since = time.monotonic()
        wall = time.time_ns() // 1000
        written: list[tuple[Tape, Batch, int]] = []
        for tape in tapes:
            batch = tape.take()
            if batch is None:
                if tape.failed:
                    tape.release()
                continue
            try:
                size = tape.write(packer, batch, wall=wall)
            except OSError as refused:
                self._lost(tape, batch, f"the spool can't be written: {refused.strerror}")
            else:
                written.append((tape, batch, size))
        errors = (
            syncers.map(_sync, [tape for tape, _, _ in written])
            if len(written) > 1
            else [_sync(tape) for tape, _, _ in written]
        )
        for (tape, batch, size), error in zip(written, errors, strict=True):
            if error:
                # What a failed sync left in memory is marked clean: it can't be asked for again.
                self._lost(tape, batch, f"the spool's disk does not keep what it takes: {error}")
            else:
                tape.settle(batch, size)
                self._written(batch.size)
        self.busy_since = None

    def _lost(self, tape: Tape, batch: Batch, why: str) -> None:
        self._written(batch.size)
        self._failed(tape, why)
        tape.release()


def _sync(tape: Tape) -> str:
    try:
        tape.sync()
    except OSError as refused:
        return refused.strerror or str(refused)
    return ""

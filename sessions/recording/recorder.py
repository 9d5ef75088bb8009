"""The recorder of a gateway process: its spool, its writer, and the watch over both.

It fails closed: whatever keeps the writer from the disk is told to each session's gateway at
once, and no new recording begins until the disk takes one again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from sessions.recording import keys, segments
from sessions.recording.spool import Spool, SpoolUnavailable
from sessions.recording.spool_writer import SpoolWriter
from sessions.recording.writer import RecordingWriter

log = logging.getLogger(__name__)
QUEUE = 16 * 1024 * 1024
"""Bytes of lines that may wait for the disk before `room` holds readers back."""
OVERFLOW = 2 * QUEUE
"""A gateway that reads on all the same loses its recordings, not the machine its memory."""
STUCK = 5.0
"""Seconds after which a turn that has not ended counts as a writer that does not write."""
_LOOK = 0.5


class Companion(Protocol):
    """Something that runs beside a recorder (heads, uploads, watchers) and ends with it."""

    def stop(self) -> None: ...


class Recorder:
    """Opens writers. One a process; `stop` it at the end."""

    def __init__(self, root: Path, *, stuck_after: float = STUCK) -> None:
        self.spool = Spool.make(root)
        self.writers: dict[uuid.UUID, RecordingWriter] = {}
        self.failures = 0
        self.companions: list[Companion] = []
        self._stuck_after = stuck_after
        self._queued = 0
        self._lock = threading.Lock()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._stopped = threading.Event()
        self._trouble = ""
        self.spool_writer = SpoolWriter(failed=self.failed, written=self._wrote)
        self.spool_writer.start()
        self._watchdog = threading.Thread(target=self._watch, name="recording-watch", daemon=True)
        self._watchdog.start()

    def open(
        self,
        *,
        session_id: uuid.UUID,
        header: Mapping[str, Any],
        on_failure: Callable[[uuid.UUID, str], None],
    ) -> RecordingWriter:
        """Begin the recording of a session; `header` is that of asciicast v3 (`term`, `title`…).

        Raises SpoolUnavailable: where the policy says `record: required`, no session may begin
        then. `on_failure(session_id, why)` is called on the calling thread's event loop (if
        it has one) when nothing is recorded any more; such a session must end.
        """
        trouble = self.trouble
        if trouble:
            raise SpoolUnavailable(
                f"Sessions can't be recorded here now: {trouble}. Try again later; an operator "
                "must look at the gateway's log."
            )
        key = keys.new()
        preamble = segments.Preamble(
            session_id=session_id,
            began=time.time_ns() // 1000,
            nonce=segments.new_nonce(),
            wrapped_key=keys.wrap(key, session_id=session_id),
        )
        told = preamble.encode()
        writer = RecordingWriter(
            owner=self,
            session_id=session_id,
            descriptor=self.spool.create(session_id, told),
            sealer=segments.Sealer(key=key, preamble=preamble),
            preamble=told,
            on_failure=on_failure,
            loop=_loop(),
        )
        with self._lock:
            self.writers[session_id] = writer
        writer.begin({"timestamp": preamble.began // 1_000_000, **header})
        return writer

    @property
    def trouble(self) -> str:
        """Return why nothing can be recorded now; empty while all is well."""
        if self._stopped.is_set():
            return "the gateway is stopping"
        if not self.spool_writer.alive:
            return self.spool_writer.error or "the writer's thread has ended"
        return self._trouble

    def stop(self) -> None:
        """Write what there is, end the threads and let go of the spool."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.spool_writer.stop()
        self._watchdog.join(5)
        for writer in self._live():
            writer.give_up("the gateway stopped")
            writer.release()
        for companion in self.companions:
            companion.stop()
        self.spool.leave()

    # What writers and the writer tell.

    def noticed(self, writer: RecordingWriter, size: int, *, urgent: bool) -> None:
        """Hear of `size` bytes more to write; where the writer is gone, that is a failure."""
        if size:
            with self._lock:
                self._queued += size
                overflown = self._queued > OVERFLOW
            if overflown:
                self.failed(writer, "the disk is slower than the session; the queue overflowed")
                return
        if not self.spool_writer.alive:
            self.failed(writer, self.trouble)
            return
        self.spool_writer.noticed(writer, urgent=urgent)

    async def room(self) -> None:
        """Return once the queue is under its bound."""
        while self._queued >= QUEUE and not self.trouble:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            with self._lock:
                self._waiters.append((loop, waiter))
            if self._queued < QUEUE:
                self._let_waiters_go()
            await waiter

    def failed(self, writer: RecordingWriter, why: str) -> None:
        """Give up `writer`, loudly, and tell its gateway."""
        if writer.ended:
            return
        self._wrote(writer.give_up(why))
        if self.spool_writer.alive:
            self.spool_writer.noticed(writer, urgent=True)
        else:
            writer.release()
        self.failures += 1
        log.critical(
            "session %s is not recorded any more: %s", writer.session_id, why,
            extra={"session_id": str(writer.session_id)},
        )  # fmt: skip
        try:
            if writer.loop is not None and not writer.loop.is_closed():
                writer.loop.call_soon_threadsafe(writer.on_failure, writer.session_id, why)
            else:
                writer.on_failure(writer.session_id, why)
        except Exception:
            log.exception("the gateway did not hear that session %s failed", writer.session_id)

    def forget(self, session_id: uuid.UUID) -> None:
        """Let go of a writer that has ended and whose head is in the database."""
        with self._lock:
            self.writers.pop(session_id, None)

    def _live(self) -> list[RecordingWriter]:
        with self._lock:
            return [writer for writer in self.writers.values() if not writer.ended]

    def _wrote(self, size: int) -> None:
        with self._lock:
            self._queued -= size
        if self._waiters and self._queued < QUEUE:
            self._let_waiters_go()

    def _let_waiters_go(self) -> None:
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for loop, waiter in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_let_go, waiter)

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK):
            since = self.spool_writer.busy_since
            stuck = since is not None and time.monotonic() - since > self._stuck_after
            self._trouble = "the writer is stuck: the disk does not answer" if stuck else ""
            trouble = self.trouble
            if trouble:
                for writer in self._live():
                    self.failed(writer, trouble)
                self._let_waiters_go()


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

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

from sessions.recording import keys, pieces
from sessions.recording.spool import Spool, SpoolUnavailable
from sessions.recording.tape import Tape
from sessions.recording.writer import Writer

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
    """Opens tapes. One a process; `stop` it at the end."""

    def __init__(self, root: Path, *, stuck_after: float = STUCK) -> None:
        self.spool = Spool.make(root)
        self.tapes: dict[uuid.UUID, Tape] = {}
        self.failures = 0
        self.companions: list[Companion] = []
        self._stuck_after = stuck_after
        self._queued = 0
        self._lock = threading.Lock()
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._stopped = threading.Event()
        self._trouble = ""
        self.writer = Writer(failed=self.failed, written=self._wrote)
        self.writer.start()
        self._watchdog = threading.Thread(target=self._watch, name="recording-watch", daemon=True)
        self._watchdog.start()

    def open(
        self,
        *,
        session_id: uuid.UUID,
        header: Mapping[str, Any],
        on_failure: Callable[[uuid.UUID, str], None],
    ) -> Tape:
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
        preamble = pieces.Preamble(
            session_id=session_id,
            began=time.time_ns() // 1000,
            nonce=pieces.new_nonce(),
            wrapped_key=keys.wrap(key, session_id=session_id),
        )
        told = preamble.encode()
        tape = Tape(
            owner=self,
            session_id=session_id,
            descriptor=self.spool.create(session_id, told),
            sealer=pieces.Sealer(key=key, preamble=preamble),
            preamble=told,
            on_failure=on_failure,
            loop=_loop(),
        )
        with self._lock:
            self.tapes[session_id] = tape
        tape.begin({"timestamp": preamble.began // 1_000_000, **header})
        return tape

    @property
    def trouble(self) -> str:
        """Return why nothing can be recorded now; empty while all is well."""
        if self._stopped.is_set():
            return "the gateway is stopping"
        if not self.writer.alive:
            return self.writer.error or "the writer's thread has ended"
        return self._trouble

    def stop(self) -> None:
        """Write what there is, end the threads and let go of the spool."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        self.writer.stop()
        self._watchdog.join(5)
        for tape in self._live():
            tape.give_up("the gateway stopped")
            tape.release()
        for companion in self.companions:
            companion.stop()
        self.spool.leave()

    # What tapes and the writer tell.

    def noticed(self, tape: Tape, size: int, *, urgent: bool) -> None:
        """Hear of `size` bytes more to write; where the writer is gone, that is a failure."""
        if size:
            with self._lock:
                self._queued += size
                overflown = self._queued > OVERFLOW
            if overflown:
                self.failed(tape, "the disk is slower than the session; the queue overflowed")
                return
        if not self.writer.alive:
            self.failed(tape, self.trouble)
            return
        self.writer.noticed(tape, urgent=urgent)

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

    def failed(self, tape: Tape, why: str) -> None:
        """Give up `tape`, loudly, and tell its gateway."""
        if tape.ended:
            return
        self._wrote(tape.give_up(why))
        if self.writer.alive:
            self.writer.noticed(tape, urgent=True)
        else:
            tape.release()
        self.failures += 1
        log.critical(
            "session %s is not recorded any more: %s", tape.session_id, why,
            extra={"session_id": str(tape.session_id)},
        )  # fmt: skip
        try:
            if tape.loop is not None and not tape.loop.is_closed():
                tape.loop.call_soon_threadsafe(tape.on_failure, tape.session_id, why)
            else:
                tape.on_failure(tape.session_id, why)
        except Exception:
            log.exception("the gateway did not hear that session %s failed", tape.session_id)

    def forget(self, session_id: uuid.UUID) -> None:
        """Let go of a tape that has ended and whose head is in the books."""
        with self._lock:
            self.tapes.pop(session_id, None)

    def _live(self) -> list[Tape]:
        with self._lock:
            return [tape for tape in self.tapes.values() if not tape.ended]

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
            since = self.writer.busy_since
            stuck = since is not None and time.monotonic() - since > self._stuck_after
            self._trouble = "the writer is stuck: the disk does not answer" if stuck else ""
            trouble = self.trouble
            if trouble:
                for tape in self._live():
                    self.failed(tape, trouble)
                self._let_waiters_go()


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

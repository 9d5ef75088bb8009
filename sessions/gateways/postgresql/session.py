"""One access session: a client and its backend, joined until one of them or the gateway ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.postgresql import upstream
from sessions.gateways.postgresql.interfaces import AdmittedSession, SessionBroker
from sessions.gateways.postgresql.link import Link
from sessions.gateways.postgresql.observing.observer import StatementObserver
from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import Malformed
from sessions.gateways.postgresql.relay import MemoryBudget, MessageTooLong, Relay
from sessions.gateways.postgresql.upstream import BackendConnection

log = logging.getLogger(__name__)

UNDER_WAY = 256 * 1024
"""Bytes given to the recording before the recorder is asked whether it has room for more."""
_GONE_WITHIN = 4.0
_LEAVES_WITHIN = 0.2
"""Seconds in which a backend goes by itself, before our service account ends it."""
_ADMIN_SHUTDOWN = "57P01"


class NotRecorded(Exception):
    """The recording failed, and what is not recorded is not passed on."""


class ProxiedSession:
    """What the gateway may warn and end. `over` tells why the session ended and `comment` in
    whose words; `left` is set once its end is noted.
    """

    def __init__(
        self,
        *,
        admitted: AdmittedSession,
        broker: SessionBroker,
        front: Link,
        backend: BackendConnection,
        recording: RecordingSink | None,
        database: str,
        budget: MemoryBudget,
    ) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.left = asyncio.Event()
        self.comment = ""
        self._admitted = admitted
        self._broker = broker
        self._front = front
        self._backend = backend
        self._back = backend.link
        self._recording = recording
        self._observer = StatementObserver(recording, database=database)
        self._relay = Relay(
            front=front,
            back=self._back,
            observer=self._observer,
            budget=budget,
            before=self._before,
        )
        self._notices: list[bytes] = []
        self._sent_off = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> str:
        """Relay until the end; return why it ended (logout, lost, or what `end` was told)."""
        self._front.relay(self._from_client, self._front_presses)
        self._back.relay(self._from_target, self._back_presses)
        self._front.closed.add_done_callback(self._front_gone)
        self._back.closed.add_done_callback(self._back_gone)
        try:
            because = await self.over
        finally:
            self._relay.release()
            await self._see_off()
        return because

    async def warn(self, sentence: str) -> None:
        """Tell the client something, between two messages of the target's."""
        self._observer.notice(sentence)
        self._notices.append(
            framing.error(severity="WARNING", code="01000", text=sentence, notice=True)
        )
        self._send_notices()

    async def end(self, because: str, sentence: str) -> None:
        """End the session now: the client is told, its backend ends on the target."""
        self._end(because, sentence)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GONE_WITHIN):
                await self.left.wait()

    def abort(self) -> None:
        """Close both lines at once."""
        self._front.abort()
        self._back.abort()

    def fail_recording(self, why: str) -> None:
        """Hear that nothing is recorded any more."""
        if self._admitted.record == "required":
            self._end(
                "terminated", "This session must be recorded, and that failed. Connect again later."
            )
        log.error("session %s is not recorded: %s", self._admitted.session_id, why)

    async def cancel(self) -> None:
        """Cancel what runs, as the client asked on another connection."""
        self._observer.mark({"kind": "cancel"})
        await self._cancel()

    # --- What arrives -----------------------------------------------------------------

    def _from_client(self, data: bytes) -> None:
        if self.over.done():
            return
        try:
            self._relay.from_client(data)
        except MessageTooLong as said:
            self._end("terminated", str(said), code="54000")
        except Malformed as said:
            self._end("terminated", f"The client broke the protocol: {said}.", code="08P01")
        except NotRecorded as said:
            self.fail_recording(str(said))

    def _from_target(self, data: bytes) -> None:
        if self.over.done():
            return
        try:
            self._relay.from_target(data)
        except (MessageTooLong, Malformed) as said:
            self._end("terminated", f"The target broke the protocol: {said}.", code="08P01")
        except NotRecorded as said:
            self.fail_recording(str(said))
        if self._notices:
            self._send_notices()

    def _before(self) -> None:
        recording, observer = self._recording, self._observer
        if recording is None:
            return
        if self._admitted.record == "required" and recording.failed:
            raise NotRecorded(recording.failed)
        if observer.written >= UNDER_WAY:
            observer.written = 0
            self._front.hold("recording")
            self._back.hold("recording")
            self._start(self._wait_for_room(recording))

    async def _wait_for_room(self, recording: RecordingSink) -> None:
        await recording.room()
        self._front.let("recording")
        self._back.let("recording")

    def _front_presses(self, pressed: bool) -> None:
        (self._back.hold if pressed else self._back.let)("peer")

    def _back_presses(self, pressed: bool) -> None:
        (self._front.hold if pressed else self._front.let)("peer")

    def _send_notices(self) -> None:
        if self._relay.between_messages and not self.over.done():
            self._front.write(b"".join(self._notices))
            self._notices.clear()

    # --- The end ----------------------------------------------------------------------

    def _front_gone(self, _closed: object) -> None:
        if not self.over.done():
            self.over.set_result("logout" if self._relay.said_goodbye else "lost")

    def _back_gone(self, _closed: object) -> None:
        if not self.over.done():
            self.over.set_result("logout" if self._relay.said_goodbye else "lost")
        self._front.close()

    def _end(self, because: str, sentence: str, *, code: str = _ADMIN_SHUTDOWN) -> None:
        if self.over.done():
            return
        self._observer.notice(sentence)
        self.comment = sentence
        self.over.set_result(because)
        if self._relay.between_messages:
            self._front.write(framing.error(severity="FATAL", code=code, text=sentence))
        self._front.close()
        self._send_off()

    def _send_off(self) -> None:
        """Tell the backend to go: closing its socket would let a query run on until it next
        writes there.
        """
        if self._sent_off:
            return
        self._sent_off = True
        if self._observer.busy:
            self._start(self._cancel())
        self._back.write(framing.message(b"X"))
        # What it still has to say is read and dropped, so that nothing holds it up.
        self._back.let_all()

    async def _see_off(self) -> None:
        """Return once the backend is gone from the target, and with it what it was doing."""
        self._front.close()
        self._send_off()
        await asyncio.wait([self._back.closed], timeout=_LEAVES_WITHIN)
        if not self._back.closed.done():
            # It is still there: it may have caught the cancel.
            try:
                await self._broker.terminate(self._admitted, self._backend.pid)
            except Exception:  # whatever the target says: the session's own end must go on
                log.exception("backend %d of %s", self._backend.pid, self._admitted.session_id)
        self._back.abort()
        for task in list(self._tasks):
            task.cancel()

    async def _cancel(self) -> None:
        target_connection = self._admitted.target_connection
        try:
            await upstream.cancel(target_connection, self._backend.pid, self._backend.key)
        except upstream.TargetRefused as said:
            log.warning("session %s: %s", self._admitted.session_id, said)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

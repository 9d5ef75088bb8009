"""One session of one person: the channel they opened, and the one on the host behind it.

What the host says is recorded first and then passed on, joined once a turn of the event loop:
hosts send a terminal's output in packets of 4 kB, and each costs a packet of ours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import asyncssh
from django.conf import settings

from jit.connectors.ssh.config import SSHRole
from jit.kernel.errors import DomainError
from sessions.gateways.ssh import asking, notices
from sessions.gateways.ssh.backend_session import BackendSession
from sessions.gateways.ssh.interfaces import IncomingConnection, OpenForward
from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.standard_input import StandardInput
from sessions.gateways.ssh.taps import tap_for
from sessions.gateways.ssh.upstream import Upstream
from sessions.gateways.unrecorded import Unrecorded
from sessions.operations import lifecycle
from sessions.operations.admission import Admission
from sessions.operations.lifecycle import Closing
from sessions.recording.spool import SpoolUnavailable
from sessions.recording.writer import RecordingWriter
from sessions.states import ClosedBecause

log = logging.getLogger(__name__)

CUT_STATUS = 254
"""The exit status of a session that was ended for its person."""
ROOM_EVERY = 1024 * 1024
"""Bytes of output after which the recorder is asked whether it keeps up."""
BEGUN_WITHIN = 0.5
"""Seconds that an end waits for a program which is just being started, so as to kill it."""


class RecorderNeeded(DomainError):
    """The policy wants a recording, and the gateway can't make one now."""

    status = 503


class FrontendSession(asyncssh.SSHServerSession[bytes]):
    """The person's end; also the supervisor's handle on the session, which owns all that was opened
    in it: the program's channel, the forwards, and the connection to the host.
    """

    def __init__(self, client: IncomingConnection, admitted: Admission) -> None:
        self.client = client
        self.admitted = admitted
        self.supervisor = client.gateway.supervisor
        self.role = SSHRole.parse(admitted.role_config)
        self.recording: RecordingWriter | Unrecorded = Unrecorded()
        self.channel: asyncssh.SSHServerChannel[bytes] | None = None
        self.backend: BackendSession | None = None
        self.upstream = Upstream(
            admission=admitted,
            host_name=client.host,
            supervisor=self.supervisor,
            log_ins=client.gateway.log_ins,
        )
        self.tunnels: set[OpenForward] = set()
        self.asked = asking.Asked()
        self.fed = StandardInput(self.recording)
        self.tap = tap_for(self.asked, Notes(self.recording, self.fed))
        self._early: list[tuple[bytes, int | None]] = []
        self._early_eof = False
        self._since_room = 0
        self.over = False
        """Whether nothing passes any more, and nothing opens."""
        self._program: asyncio.Task[Any] | None = None
        self._ended: dict[str, int] = {}
        self._left_host = asyncio.Event()

    # --- The recording ----------------------------------------------------------------

    def start_recording(self) -> None:
        """Begin the recording. Raises RecorderNeeded where there must be one and is none."""
        admitted = self.admitted
        self.supervisor.register(
            session_id=admitted.session_id, live=self, over_at=admitted.over_at
        )
        if admitted.record == "none":
            return
        try:
            self.recording = self.client.gateway.recorder.open(
                session_id=admitted.session_id,
                header={
                    "term": {"cols": 80, "rows": 24},
                    "title": f"{admitted.username} as {admitted.role} on {admitted.target}",
                },
                on_failure=self._recorder_failed,
            )
        except SpoolUnavailable as unavailable:
            log.exception("session %s is not recorded", admitted.session_id)
            if admitted.record == "required":
                self.note_end(ClosedBecause.TERMINATED, str(unavailable), None)
                raise RecorderNeeded(str(unavailable)) from unavailable

    def _recorder_failed(self, _session: Any, why: str) -> None:
        if self.admitted.record == "required":
            self.supervisor.spawn(
                self.end(ClosedBecause.TERMINATED, f"This can't be recorded any more: {why}.")
            )

    # --- What asyncssh tells of the person's channel ------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan

    def pty_requested(
        self, term_type: str | None, term_size: asking.TermSize, term_modes: Mapping[int, int]
    ) -> bool:
        self.asked.terminal(term_type or "dumb", term_size, term_modes)
        return True

    def shell_requested(self) -> bool:
        self.asked.kind = "shell"
        return True

    def exec_requested(self, command: str) -> bool:
        self.asked.kind, self.asked.command = "exec", command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self.asked.kind, self.asked.command = "subsystem", subsystem
        return True

    def session_started(self) -> None:
        self.supervisor.spawn(self._begin())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self.over:
            return
        if self.backend is None:
            self._early.append((data, datatype))
            if self.channel is not None:
                self.channel.pause_reading()
            return
        self.tap.from_person(data)
        self.backend.write(data, datatype)

    def eof_received(self) -> bool:
        if self.backend is None:
            self._early_eof = True
        else:
            self.fed.finish()
            self.backend.write_eof()
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self.recording.resize(width, height)
        if self.backend is not None:
            self.backend.resize(width, height, pixwidth, pixheight)

    def signal_received(self, signal: str) -> None:
        if self.backend is not None:
            self.backend.signal(signal)

    def break_received(self, msec: int) -> bool:
        if self.backend is not None:
            self.backend.send_break(msec)
        return True

    def pause_writing(self) -> None:
        if self.backend is not None:
            self.backend.pause_reading()

    def resume_writing(self) -> None:
        if self.backend is not None:
            self.backend.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.person_is_gone(broken=exc is not None)

    # --- Its beginning ----------------------------------------------------------------

    async def _begin(self) -> None:
        try:
            asking.refuse_unless_allowed(self.asked, self.role)
            await self._open_backend()
        except (asking.NotOfThisRole, asking.PastTheGateway) as refusal:
            self.recording.mark({**self.asked.fact(), "refused": True})
            self._say_and_leave(refusal.detail)
        except DomainError as refusal:
            self._say_and_leave(refusal.detail)
        except Exception:
            log.exception("session %s could not begin", self.admitted.session_id)
            self._say_and_leave("The gateway could not open your session. Try again.")

    async def _open_backend(self) -> None:
        connection = await self.upstream.connection()
        self.recording.mark(self.asked.fact())
        if self.asked.size is not None:
            self.recording.resize(*self.asked.size[:2])
        keep = settings.RECORDINGS_STDIN_TEXT if self.role.record_stdin == "text" else 0
        self.fed = StandardInput(self.recording, keep=keep)
        self.tap = tap_for(self.asked, Notes(self.recording, self.fed))
        await self._went_live()
        backend = BackendSession(self)
        self._program = self.supervisor.spawn(
            connection.create_session(
                lambda: backend,
                command=self.asked.command if self.asked.kind == "exec" else None,
                subsystem=self.asked.command if self.asked.kind == "subsystem" else None,
                request_pty="force" if self.asked.size is not None else False,
                term_type=self.asked.term,
                term_size=self.asked.size or (0, 0),
                term_modes=self.asked.modes,
                env=asking.environment(self.channel),
                encoding=None,
            ),
            awaited=True,
        )
        await self._program
        self.backend = backend
        if self.over:
            backend.close()
            return
        for data, datatype in self._early:
            self.data_received(data, datatype)
        self._early.clear()
        if self._early_eof:
            self.eof_received()
        if self.channel is not None:
            self.channel.resume_reading()

    async def begin_without_a_channel(self) -> None:
        """Go live for what has channels of its own: this connection's forwards."""
        self.asked.kind = "forwards"
        await self.upstream.connection(marked=True)
        self.recording.mark(self.asked.fact())
        await self._went_live()

    async def _went_live(self) -> None:
        await self.supervisor.ask(lifecycle.went_live, session_id=self.admitted.session_id)

    def _say_and_leave(self, sentence: str) -> None:
        self.recording.mark({"kind": "notice", "text": sentence})
        self._tell(sentence, on_terminal=False)
        self.note_end(ClosedBecause.LOST, sentence, CUT_STATUS)

    def _tell(self, sentence: str, *, on_terminal: bool) -> None:
        """Say a last sentence on the person's channel, and close it."""
        channel = self.channel
        if channel is None:
            return
        if not channel.is_closing():  # Its end of file may have been sent.
            channel.write_stderr(notices.line(sentence, on_terminal=on_terminal))
        channel.exit(CUT_STATUS)

    # --- What the host says -----------------------------------------------------------

    def from_host(self, data: bytes, datatype: int | None) -> None:
        """Record, then pass on. No protocol that a tap knows uses the error stream."""
        if datatype is None:
            self.tap.from_host(data)
        else:
            self.recording.output(data, errors=True)
        if self.channel is not None and not self.over:
            self.channel.write(data, datatype)
        self._since_room += len(data)
        if self._since_room >= ROOM_EVERY and self.backend is not None:
            self._since_room = 0
            self.backend.hold_until(self.recording.room())

    def host_is_done(self, status: int | None, signal: str | None, why: str) -> None:
        """The program on the host ended, or the line to it broke (then `why` says so)."""
        if self.over:
            return
        if signal:
            text = f"The program was ended by the signal {signal}."
            self.recording.mark({"kind": "notice", "text": text})
        if self.channel is not None:
            if why and not self.channel.is_closing():
                on_terminal = self.asked.size is not None
                self.channel.write_stderr(notices.line(why, on_terminal=on_terminal))
            if signal:
                self.channel.exit_with_signal(signal)
            else:
                self.channel.exit(CUT_STATUS if status is None else status)
        because = ClosedBecause.LOST if why else ClosedBecause.LOGOUT
        self.note_end(because, why or (f"signal {signal}" if signal else ""), status)

    def person_is_gone(self, *, broken: bool) -> None:
        """The person's end is closed, by their client or because its line broke."""
        if broken:
            self.note_end(ClosedBecause.LOST, "The line to the person broke.", None)
        else:
            self.note_end(ClosedBecause.LOGOUT, "Their client closed it.", None)

    # --- Its end, as the supervisor wants it --------------------------------------------

    async def warn(self, sentence: str) -> None:
        self.recording.mark({"kind": "notice", "text": sentence})
        channel = self.channel
        if channel is not None and self.asked.size is not None and not channel.is_closing():
            channel.write(notices.line(sentence, on_terminal=True))

    async def end(self, because: ClosedBecause, sentence: str) -> None:
        """End all that was opened in this session; return once it is.

        1. What runs on the host is killed and every forward is cut.
        2. The person is told, and their channel closes.
        3. The connection to the host is closed.
        4. So is the person's own, unless another session lives on it.
        """
        if self.over:
            await self._left_host.wait()
            return
        self._cut()
        self.recording.mark({"kind": "notice", "text": sentence})
        self._tell(sentence, on_terminal=self.asked.size is not None)
        self.note_end(because, sentence, CUT_STATUS)
        self.client.session_was_ended(self, sentence)
        await self._left_host.wait()

    def abort(self) -> None:
        """Close both lines at once."""
        self._cut()
        self.upstream.abort()
        self.client.connection.abort()

    def note_end(self, because: ClosedBecause, comment: str, status: int | None) -> None:
        """End what is left of the session, and see that it is written down, once."""
        if self.over:
            return
        self._cut()
        self.over = True
        self.client.fronts.discard(self)
        self.tap.finish()
        self.fed.finish()
        if status is not None:
            self.recording.exit(status)
        self.supervisor.spawn(
            self._note_closed(
                Closing(
                    session_id=self.admitted.session_id,
                    because=because,
                    comment=comment,
                    exit_status=status,
                    ended=self._ended,
                )
            )
        )

    def _cut(self) -> None:
        """Cut the program's channel and the forwards; count what was open until now."""
        self._ended = self._ended or {
            "forwards": len(self.tunnels),
            "connections": int(self.upstream.is_open),
        }
        if self.backend is not None:
            self.backend.close()
        for tunnel in list(self.tunnels):
            tunnel.cut()

    async def _note_closed(self, closing: Closing) -> None:
        """Write the end down only when nothing of the session is open any more."""
        try:
            await self._leave_host()
        finally:
            self._left_host.set()
            await self.recording.close()
            self.supervisor.unregister(closing)

    async def _leave_host(self) -> None:
        """Kill the program, unless it ended by itself, and close the connection."""
        program, backend = self._program, self.backend
        if program is not None:
            await asyncio.wait([program], timeout=BEGUN_WITHIN)
        await self.upstream.close(kill=program is not None and not (backend and backend.ended))

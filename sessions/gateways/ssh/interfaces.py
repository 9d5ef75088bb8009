"""What the parts of the SSH gateway know of each other: the process, a connection, a session."""

from __future__ import annotations

from typing import Protocol

import asyncssh

from jit.connectors.ssh.config import SSHRole
from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.ssh.upstream import LogIns, Upstream
from sessions.gateways.supervisor import SessionSupervisor
from sessions.operations.admission import Admission
from sessions.recording.recorder import Recorder


class OpenForward(Protocol):
    """A forwarded connection, as the session that it belongs to knows it."""

    def cut(self) -> None: ...


class Frontend(Protocol):
    """A session, from the person's end: what the host's end and the forwards tell it."""

    admitted: Admission
    supervisor: SessionSupervisor
    role: SSHRole
    channel: asyncssh.SSHServerChannel[bytes] | None
    upstream: Upstream
    tunnels: set[OpenForward]
    over: bool

    @property
    def recording(self) -> RecordingSink: ...

    def from_host(self, data: bytes, datatype: int | None) -> None: ...

    def host_is_done(self, status: int | None, signal: str | None, why: str) -> None: ...

    def person_is_gone(self, *, broken: bool) -> None: ...


class IncomingConnection(Protocol):
    """A person's connection: what its sessions and its forwards ask of it."""

    connection: asyncssh.SSHServerConnection
    host: str
    fronts: set[Frontend]

    @property
    def gateway(self) -> GatewayServer: ...

    @property
    def source_address(self) -> str: ...

    async def recognise_certificate(self, username: str, line: str) -> str | None: ...

    async def forwarding_session(self) -> Frontend: ...

    def session_was_ended(self, front: Frontend, sentence: str) -> None: ...


class GatewayServer(Protocol):
    """What all connections of a gateway process share."""

    supervisor: SessionSupervisor
    recorder: Recorder
    log_ins: LogIns

    def take_place(self, connection: IncomingConnection) -> bool: ...

    def leave_place(self, connection: IncomingConnection) -> None: ...

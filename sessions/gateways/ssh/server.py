"""The SSH gateway's process: its listener, its limits, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
from collections import Counter

import asyncssh

from sessions.gateways import instance
from sessions.gateways.ssh import host_keys
from sessions.gateways.ssh.connection import ClientConnection
from sessions.gateways.ssh.interfaces import IncomingConnection
from sessions.gateways.ssh.negotiating import CIPHERS, MACS
from sessions.gateways.ssh.upstream import LogIns
from sessions.gateways.supervisor import SessionSupervisor
from sessions.recording import service
from sessions.recording.recorder import Recorder

log = logging.getLogger(__name__)

KIND = "ssh"
MOST_CONNECTIONS = 4000
MOST_FROM_ONE_ADDRESS = 1000
LOGIN_TIMEOUT = 30
BACKLOG = 512


class SSHGateway:
    """What all connections of the process share."""

    def __init__(self, *, supervisor: SessionSupervisor, recorder: Recorder) -> None:
        self.supervisor = supervisor
        self.recorder = recorder
        self.log_ins = LogIns()
        self._connections: set[IncomingConnection] = set()
        self._from: Counter[str] = Counter()

    def take_place(self, connection: IncomingConnection) -> bool:
        """Count a connection in; return whether there is room for it."""
        address = connection.source_address
        self._connections.add(connection)
        self._from[address] += 1
        return (
            len(self._connections) <= MOST_CONNECTIONS
            and self._from[address] <= MOST_FROM_ONE_ADDRESS
        )

    async def close(self) -> None:
        """Close every connection that is left, after their sessions have ended in order."""
        for connection in list(self._connections):
            connection.connection.abort()
        await asyncio.sleep(0)

    def leave_place(self, connection: IncomingConnection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._from[connection.source_address] -= 1


async def serve(told: asyncio.Event) -> None:
    """Run the gateway until it is `told` to stop; then end its sessions in order."""
    _raise_limits()
    host, port = instance.listens_at(KIND)
    with instance.claimed(KIND) as here, instance.listening(KIND) as listening:
        recorder = service.start(here.spool)
        supervisor = SessionSupervisor(kind=KIND, name=here.name, address=f"{host}:{port}")
        await supervisor.open()
        gateway = SSHGateway(supervisor=supervisor, recorder=recorder)
        listener = await listen(gateway, listening)
        log.info("the SSH gateway listens at %s:%d", host, listener.get_port())
        try:
            await told.wait()
        finally:
            listener.close()
            await supervisor.close()
            await gateway.close()
            await asyncio.get_running_loop().run_in_executor(None, recorder.stop)


async def listen(gateway: SSHGateway, listening: socket.socket) -> asyncssh.SSHAcceptor:
    """Return the listener of `gateway` on a socket that listens."""
    return await asyncssh.create_server(
        lambda: ClientConnection(gateway),
        sock=listening,
        server_host_keys=host_keys.files(),
        encryption_algs=CIPHERS,
        mac_algs=MACS,
        compression_algs=None,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        gss_host=None,
        line_editor=False,
        encoding=None,
        login_timeout=LOGIN_TIMEOUT,
        keepalive_interval=30,
        keepalive_count_max=3,
        backlog=BACKLOG,
        config=None,
        server_version="jit",
        kbdint_auth=False,
    )


def _raise_limits() -> None:
    """Allow as many open files as the system lets us: three for each session."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

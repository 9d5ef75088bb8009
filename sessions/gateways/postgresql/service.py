"""The PostgreSQL gateway's process: its certificate, its listener, its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from asyncio.sslproto import SSLProtocol
from pathlib import Path

from django.conf import settings

from jit.env import Misconfigured
from jit.kernel import clock
from sessions.gateways import instance
from sessions.gateways.postgresql import certificates
from sessions.gateways.postgresql.admission_adapter import KIND, AdmissionAdapter
from sessions.gateways.postgresql.offer import client_authority, configured, own_files
from sessions.gateways.postgresql.server import Limits, PostgreSQLGateway
from sessions.gateways.supervisor import SessionSupervisor
from sessions.offers import host_and_port
from sessions.recording import service
from sessions.recording.recorder import Recorder

log = logging.getLogger(__name__)

_TLS_BUFFER = 32 * 1024
"""Bytes that each connection over TLS holds for what comes in: two of its records. asyncio's own
256 KiB were four fifths of what a session cost us.
"""


async def serve(told: asyncio.Event) -> None:
    """Run the gateway until it is `told` to stop; then end its sessions in order."""
    SSLProtocol.max_size = _TLS_BUFFER
    host, port = instance.listens_at(KIND)
    certificate, context = _certificate(host)
    with instance.claimed(KIND) as here, instance.listening(KIND) as listening:
        recorder = service.start(here.spool)
        supervisor = SessionSupervisor(kind=KIND, name=here.name, address=f"{host}:{port}")
        await supervisor.open()
        gateway = make(
            supervisor=supervisor, recorder=recorder, certificate=certificate, context=context
        )
        log.info("the PostgreSQL gateway listens at %s:%d", host, listening.getsockname()[1])
        serving = asyncio.create_task(gateway.serve(listening))
        try:
            await told.wait()
        finally:
            await supervisor.close()
            serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await serving
            await asyncio.get_running_loop().run_in_executor(None, recorder.stop)


def make(
    *, supervisor: SessionSupervisor, recorder: Recorder, certificate: Path, context: ssl.SSLContext
) -> PostgreSQLGateway:
    return PostgreSQLGateway(
        broker=AdmissionAdapter(supervisor=supervisor, recorder=recorder),
        tls=context,
        certificate=certificates.der(certificate),
        plaintext_on_loopback=configured()["plaintext_on_loopback"],
        limits=Limits(sessions=configured()["sessions"]),
    )


def _certificate(host: str) -> tuple[Path, ssl.SSLContext]:
    """Return our certificate's file and how we speak TLS. Raises Misconfigured."""
    given = configured()
    if given["certificate"] and given["key"]:
        certificate, key = Path(given["certificate"]), Path(given["key"])
    elif settings.EMBEDDED:
        public = host_and_port(settings.GATEWAYS.get(KIND, "localhost:0"))[0]
        names = list(dict.fromkeys([public, host, "localhost", "127.0.0.1"]))
        _, certificate, key = certificates.ensure(own_files(), names=names, now=clock.now())
        certificates.ensure_clients(own_files(), now=clock.now())
    else:
        raise Misconfigured(
            "JIT_POSTGRESQL_GATEWAY_CERTIFICATE and JIT_POSTGRESQL_GATEWAY_KEY must name the "
            "gateway's certificate and its key (PEM files): it speaks over TLS only."
        )
    clients = client_authority()
    try:
        context = certificates.context(
            certificate=certificate,
            key=key,
            client_authority=clients[0] if clients else None,
        )
    except OSError as unusable:
        raise Misconfigured(f"the PostgreSQL gateway's certificate: {unusable}") from unusable
    return certificate, context

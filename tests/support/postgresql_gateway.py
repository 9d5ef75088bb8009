"""The PostgreSQL gateway itself, on a loop of its own in this process, before a real cluster."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import transaction

from jit.catalog.models import Role, Target
from jit.elevation.models import Grant
from jit.identity.models import Group
from jit.kernel import clock
from sessions.gateways.postgresql import certificates, offer, service
from sessions.gateways.supervisor import SessionSupervisor
from sessions.recording.recorder import Recorder
from tests.contracts.postgresql import SERVICE, SERVICE_PASSWORD, prepared
from tests.support import looping, policies, servers

TARGET, WRITER = "orders-db", "orders-db-writer"


class RunningGateway:
    """The gateway at `address`, its `supervisor`, and where its recordings are spooled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spool = folder, folder / "spool"
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self._loop = looping.Loop("gateway")
        self.do = self._loop.do
        self.do(self._open())

    async def _open(self) -> None:
        self.authority, certificate, key = certificates.ensure(
            self.folder / "tls", names=["127.0.0.1"], now=clock.now()
        )
        self.clients, self.clients_key = certificates.ensure_clients(
            self.folder / "tls", now=clock.now()
        )
        context = certificates.context(
            certificate=certificate, key=key, client_authority=self.clients
        )
        self.recorder = Recorder(self.spool)
        self.supervisor = SessionSupervisor(
            kind="postgresql", name=str(self.folder), address=self.address
        )
        await self.supervisor.open()
        gateway = service.make(
            supervisor=self.supervisor,
            recorder=self.recorder,
            certificate=certificate,
            context=context,
        )
        self._serving = asyncio.get_running_loop().create_task(gateway.serve(self.listening))

    def close(self) -> None:
        self.do(self._close())
        self._loop.stop()
        self.listening.close()

    async def _close(self) -> None:
        await self.supervisor.close()
        self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        self.recorder.stop()

    def offer(self, grant: Grant) -> dict[str, str]:
        """Return what the holder of `grant` is handed."""
        with transaction.atomic():
            return offer.offer(grant=grant, address=self.address, now=clock.now())

    def connect(self, offered: dict[str, str], **changes: Any) -> psycopg.Connection[Any]:
        """Connect as the line says."""
        parts = {
            "host": offered["host"],
            "port": offered["port"],
            "dbname": offered["database"],
            "user": offered["user"],
            "password": offered["password"],
            "sslmode": offered["sslmode"],
            "sslrootcert": self.authority,
            "connect_timeout": 10,
            "autocommit": True,
        }
        return psycopg.connect(**parts | changes)


def make_target(version: str, folder: Path, **config: Any) -> Role:
    """Write a cluster of this version, set up by the shipped scripts, into the catalogue, and put
    a policy in force.
    """
    policies.admit_everybody()
    cluster = prepared(version)
    password = folder / "service-password"
    password.write_text(SERVICE_PASSWORD)
    target = Target.objects.create(
        slug=TARGET,
        name=TARGET,
        kind="postgresql",
        team="payments",
        config={
            "host": cluster.host,
            "port": cluster.port,
            "user": SERVICE,
            "password": f"file:{password}",
            "allowed_roles": ["app_rw", "app_ro"],
            **config,
        },
    )
    return Role.objects.create(
        slug=WRITER,
        target=target,
        name="writer",
        risk="medium",
        owner_group=Group.objects.get(slug="sre-managers"),
        max_duration_seconds=7200,
        config={"member_of": "app_rw"},
    )


def backends(cluster: servers.Target, grant: Grant) -> int:
    """Return how many connections of the grant's role there are on the target itself."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as root:
        row = root.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [grant.external_name]
        ).fetchone()
    assert row
    return int(row[0])


@contextmanager
def gateway_in(folder: Path) -> Iterator[RunningGateway]:
    running = RunningGateway(folder)
    try:
        yield running
    finally:
        running.close()

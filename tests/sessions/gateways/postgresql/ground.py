"""A gateway that runs, a real cluster behind it, and a broker that lets tests decide who enters."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from jit.kernel import clock
from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.postgresql import certificates
from sessions.gateways.postgresql.interfaces import (
    AccessRefused,
    AdmittedSession,
    AuthenticationAttempt,
    RunningSession,
    TargetConnection,
)
from sessions.gateways.postgresql.protocol import scram
from sessions.gateways.postgresql.protocol.scram import Verifier
from sessions.gateways.postgresql.server import Limits, PostgreSQLGateway
from tests.contracts.ground import until
from tests.support import looping, servers


class MemoryRecording:
    """A recording that a test can read; `fail` makes it stop, `slow` makes it lag."""

    def __init__(self) -> None:
        self.facts: list[dict[str, Any]] = []
        self.shown = b""
        self.failed = ""
        self.asked_for_room = 0

    def output(self, data: bytes) -> None:
        self.shown += data

    def mark(self, fact: dict[str, Any]) -> None:
        self.facts.append(dict(fact))

    async def room(self) -> None:
        self.asked_for_room += 1

    @property
    def statements(self) -> list[dict[str, Any]]:
        return [fact for fact in self.facts if fact["kind"] == "statement"]

    @property
    def texts(self) -> list[str]:
        return [fact["text"] for fact in self.statements]


@dataclass
class Visit:
    """One session, from the broker's side."""

    admitted: AdmittedSession
    recording: MemoryRecording | None
    live: RunningSession | None = None
    because: str = ""
    on_failure: Callable[[str], None] | None = None


class FakeBroker:
    """Admits whoever proves a password that was written down here, once."""

    def __init__(self, target_connection: TargetConnection, root: str) -> None:
        self.target_connection = target_connection
        self.record_as = "required"
        self.refuses = ""
        self.breaks_at = ""
        self.visits: list[Visit] = []
        self.attempts: list[AuthenticationAttempt] = []
        self.terminated: list[int] = []
        self.known: dict[str, list[Verifier]] = {}
        self.names_by_certificate: set[str] = set()
        self._root = root

    def password_for(self, name: str, *, uses: int = 1) -> str:
        password = secrets.token_urlsafe(16)
        self.known.setdefault(name, []).extend([scram.make(password, salt=self.salt(name))] * uses)
        return password

    def salt(self, name: str) -> bytes:
        return scram.salt_of(name)

    async def verifiers(self, name: str) -> Sequence[Verifier]:
        self._break("verifiers")
        return list(self.known.get(name, []))

    def _break(self, where: str) -> None:
        if self.breaks_at == where:
            raise RuntimeError("the books are away")

    async def admit(self, attempt: AuthenticationAttempt) -> AdmittedSession:
        self.attempts.append(attempt)
        self._break("admit")
        if self.refuses:
            raise AccessRefused(self.refuses)
        if attempt.verifier:
            if attempt.verifier not in self.known[attempt.name]:
                raise AccessRefused("somebody was faster")
            self.known[attempt.name].remove(attempt.verifier)
        elif attempt.name not in self.names_by_certificate:
            raise AccessRefused("no such grant")
        return AdmittedSession(
            session_id=uuid.uuid4(),
            grant_id=uuid.uuid4(),
            person="rita",
            target="orders-db",
            role="orders-db-writer",
            over_at=time.monotonic() + 300,
            record=self.record_as,
            target_connection=self.target_connection,
        )

    def record(
        self, admitted: AdmittedSession, on_failure: Callable[[str], None]
    ) -> RecordingSink | None:
        recording = None if self.record_as == "none" else MemoryRecording()
        self.visits.append(Visit(admitted, recording, on_failure=on_failure))
        return recording

    async def enter(self, admitted: AdmittedSession, live: RunningSession) -> None:
        self._break("enter")
        self._visit(admitted).live = live

    async def leave(
        self, admitted: AdmittedSession, recording: RecordingSink | None, because: str, comment: str
    ) -> None:
        self._visit(admitted).because = because

    async def terminate(self, admitted: AdmittedSession, pid: int) -> None:
        self.terminated.append(pid)

        def end() -> None:
            with psycopg.connect(self._root, autocommit=True) as root:
                root.execute("SELECT pg_terminate_backend(%s, 2000)", [pid])

        await asyncio.to_thread(end)

    def _visit(self, admitted: AdmittedSession) -> Visit:
        return next(v for v in self.visits if v.admitted.session_id == admitted.session_id)


@dataclass
class Ground:
    """The gateway of a test module and everything that is known of it."""

    target: servers.Target
    role: str
    folder: Path
    broker: FakeBroker
    loop: looping.Loop
    gateway: PostgreSQLGateway
    port: int
    authority: Path
    listening: socket.socket = field(repr=False)

    @property
    def last(self) -> Visit:
        return self.broker.visits[-1]

    @property
    def recording(self) -> MemoryRecording:
        recording = self.last.recording
        assert recording
        return recording

    def dsn(self, *, name: str = "jit_writer", password: str = "", **changes: Any) -> str:
        parts = {
            "host": "127.0.0.1",
            "port": self.port,
            "dbname": "shop",
            "user": name,
            "password": password or self.broker.password_for(name),
            "sslmode": "verify-full",
            "sslrootcert": self.authority,
            "connect_timeout": 10,
        }
        return psycopg.conninfo.make_conninfo(**parts | changes)

    def connect(self, *, name: str = "jit_writer", **changes: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(name=name, **changes), autocommit=True)

    def root(self, database: str = "shop") -> psycopg.Connection[Any]:
        return psycopg.connect(self.target.dsn(database), autocommit=True)

    def backends(self) -> int:
        """Return how many connections of the role there are on the target itself."""
        with self.root() as root:
            row = root.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [self.role]
            ).fetchone()
        assert row
        return int(row[0])

    def run[Answer](self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        """Run something on the gateway's own event loop."""
        return self.loop.do(coroutine)

    def closed(self, visit: Visit | None = None) -> str:
        """Return why the session closed, once it has."""
        visit = visit or self.last
        assert until(lambda: bool(visit.because))
        return visit.because


def prepare(target: servers.Target, role: str, password: str) -> None:
    """Make a database with rows, and the ephemeral role as the connector makes it."""
    with psycopg.connect(target.dsn(), autocommit=True) as root:
        if not root.execute("SELECT 1 FROM pg_database WHERE datname = 'shop'").fetchone():
            root.execute("CREATE DATABASE shop")
            root.execute("CREATE DATABASE attic")
            root.execute("CREATE ROLE shop_writer NOLOGIN")
            with psycopg.connect(target.dsn("shop"), autocommit=True) as shop:
                shop.execute("GRANT ALL ON SCHEMA public TO shop_writer")
                shop.execute("CREATE TABLE things (id int, name text)")
                shop.execute("GRANT ALL ON things TO shop_writer")
        root.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOINHERIT PASSWORD {} IN ROLE shop_writer").format(
                sql.Identifier(role), sql.Literal(password)
            )
        )
        root.execute(sql.SQL("ALTER ROLE {} SET role = shop_writer").format(sql.Identifier(role)))


@contextlib.contextmanager
def running(version: str, folder: Path, **options: Any) -> Iterator[Ground]:
    """Run a gateway on loopback, in a thread of its own, for the length of the block."""
    target = servers.target(version)
    role, password = f"jit_{secrets.token_hex(8)}", secrets.token_hex(8)
    prepare(target, role, password)
    target_connection = TargetConnection(
        host=target.host,
        port=target.port,
        database="shop",
        databases=("shop",),
        user=role,
        password=password,
        sslmode="prefer",
    )
    broker = FakeBroker(target_connection, target.dsn())
    authority, certificate, key = certificates.ensure(
        folder, names=["127.0.0.1", "localhost"], now=clock.now()
    )
    context = certificates.context(
        certificate=certificate, key=key, client_authority=options.pop("client_authority", None)
    )
    listening = socket.create_server(("127.0.0.1", 0))
    limits = options.pop("limits", Limits(log_in_within=5))
    gateway = PostgreSQLGateway(
        broker=broker,
        tls=context,
        certificate=certificates.der(certificate),
        limits=limits,
        **options,
    )
    loop = looping.Loop("gateway")
    serving = loop.begin(gateway.serve(listening))
    port = listening.getsockname()[1]
    try:
        yield Ground(
            target, role, folder, broker, loop, gateway, port, authority, listening=listening
        )
    finally:
        serving.cancel()
        loop.stop()
        listening.close()
        with psycopg.connect(target.dsn(), autocommit=True) as root:
            root.execute(
                "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = %s",
                [role],
            )
            with psycopg.connect(target.dsn("shop"), autocommit=True) as shop:
                shop.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            root.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


__all__ = ["Ground", "running", "until"]

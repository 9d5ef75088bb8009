"""The way from the gateway to the target: its TLS, its proof, and a target that lies."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from jit.kernel import clock
from jit.ops.embedded import ground as embedded
from sessions.gateways.postgresql import certificates, upstream
from sessions.gateways.postgresql.interfaces import TargetConnection
from sessions.gateways.postgresql.protocol import framing
from tests.contracts.ground import until
from tests.support import servers


@pytest.fixture(scope="module")
def authority() -> Iterator[Path]:
    """PostgreSQL 15 speaking TLS, with a certificate for `localhost`; 18 of the tests can't."""
    folder = embedded.throw_away_home()
    authority, certificate, key = certificates.ensure(folder, names=["localhost"], now=clock.now())
    runner = embedded.account()
    for file in (certificate, key):
        if runner:
            os.chown(file, runner.uid, runner.gid)
    with psycopg.connect(servers.target("15").dsn(), autocommit=True) as root:
        root.execute(f"ALTER SYSTEM SET ssl_cert_file = '{certificate}'")
        root.execute(f"ALTER SYSTEM SET ssl_key_file = '{key}'")
        root.execute("ALTER SYSTEM SET ssl = on")
        root.execute("SELECT pg_reload_conf()")
        yield authority
        for name in ("ssl", "ssl_cert_file", "ssl_key_file"):
            root.execute(f"ALTER SYSTEM RESET {name}")
        root.execute("SELECT pg_reload_conf()")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def target(authority: Path) -> Iterator[TargetConnection]:
    target = servers.target("15")
    name, password = f"jit_{secrets.token_hex(8)}", secrets.token_hex(8)
    with psycopg.connect(target.dsn(), autocommit=True) as root:
        root.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        yield TargetConnection(
            host="localhost",
            port=target.port,
            database="postgres",
            user=name,
            password=password,
            sslmode="verify-full",
            sslrootcert=str(authority),
        )
        root.execute("SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
                     " WHERE usename = %s", [name])  # fmt: skip
        root.execute(f"DROP ROLE {name}")


def ask(target: TargetConnection, query: str) -> bytes:
    """Return the first value of a query, asked over a fresh connection."""

    async def go() -> bytes:
        backend = await upstream.connect(target, {})
        backend.link.write(framing.message(b"Q", query.encode() + b"\0"))
        value = b""
        while True:
            kind, body = await backend.link.read()
            if kind == b"D":
                value = body[6 : 6 + struct.unpack_from("!I", body, 2)[0]]
            if kind == b"Z":
                backend.link.abort()
                await backend.link.closed
                return value

    return asyncio.run(go())


TLS = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


class TestTls:
    def test_is_spoken_and_the_channel_bound(self, target: TargetConnection) -> None:
        assert until(lambda: ask(replace(target, sslmode="prefer"), TLS) == b"t")
        assert ask(target, TLS) == b"t"

    def test_takes_no_certificate_of_another_name(self, target: TargetConnection) -> None:
        assert until(lambda: ask(target, TLS) == b"t")
        with pytest.raises(upstream.TargetRefused, match=r"(?i)certificate"):
            ask(replace(target, host="127.0.0.1"), TLS)
        assert ask(replace(target, host="127.0.0.1", sslmode="verify-ca"), TLS) == b"t"

    def test_takes_no_certificate_of_another_authority(
        self, target: TargetConnection, tmp_path: Path
    ) -> None:
        other, _, _ = certificates.ensure(tmp_path, names=["localhost"], now=clock.now())
        with pytest.raises(upstream.TargetRefused, match=r"(?i)certificate"):
            ask(replace(target, sslrootcert=str(other)), TLS)


class TestLogIn:
    def test_has_the_backend_look_whether_we_are_there(self, target: TargetConnection) -> None:
        assert ask(target, "SHOW client_connection_check_interval") == b"1s"

    def test_with_another_password_says_what_the_target_said(
        self, target: TargetConnection
    ) -> None:
        with pytest.raises(upstream.TargetRefused, match="password authentication failed"):
            ask(replace(target, password="wrong"), TLS)

    @pytest.mark.parametrize(
        ("says", "why"),
        [
            (framing.message(b"R", struct.pack("!I", 3)), "kind of log-in"),
            (framing.message(b"R", struct.pack("!I", 5) + b"salt"), "kind of log-in"),
            (framing.message(b"R", struct.pack("!I", 10) + b"OTHER\0\0"), "no SCRAM-SHA-256"),
            (framing.message(b"R", struct.pack("!I", 0)) + framing.message(b"Z", b"I"), "without"),
            (b"R\0\0\0\0", "before the log-in"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "before the log-in"),
        ],
    )
    def test_gives_nothing_to_a_target_that_lies(
        self, target: TargetConnection, says: bytes, why: str
    ) -> None:
        async def go() -> bytes:
            heard = bytearray()
            over = asyncio.Event()

            async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(says)
                while more := await reader.read(1000):
                    heard.extend(more)
                writer.close()
                over.set()

            async with await asyncio.start_server(lie, "127.0.0.1", 0) as liar:
                port = liar.sockets[0].getsockname()[1]
                with pytest.raises(upstream.TargetRefused, match=why):
                    await upstream.connect(
                        replace(target, host="127.0.0.1", port=port, sslmode="disable"), {}
                    )
                await over.wait()
            return bytes(heard)

        assert target.password.encode() not in asyncio.run(go())

"""Many sessions through the PostgreSQL gateway at once, and their end in the middle of work.

    python -m bench.postgresql_sessions

Everything is real: the installation's gateway with its books and recorder, TLS, a certificate that
opens one grant as often as wanted, and a query that runs in each session when the grant is given
back. Only the target is told to take more connections than the demo's usually does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.ssh_gateway import resident
from tests.support import processes
from tests.support.processes import Running

SESSIONS, REVOKED = 500, 200
AT_ONCE = 15
"""Fewer than the strangers that the gateway lets wait from one address."""
REVOKED_WITHIN, KILOBYTES = 3.0, 100.0


def certified(jit: Running, grant: str, folder: Path) -> dict[str, Any]:
    """Return how to connect under the grant, with a certificate for a key made here."""
    shown = jit.credential(grant)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    said = jit.rita.post(f"grants/{grant}/certificate/", {"public_key": public.decode()})
    assert said.ok, said.text
    files = {"sslcert": folder / "jit.crt", "sslkey": folder / "jit.key"}
    files["sslcert"].write_text(said.json()["certificate"])
    files["sslkey"].touch(mode=0o600)
    files["sslkey"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    named = {"host": "host", "port": "port", "dbname": "database", "user": "user"}
    named |= {"sslmode": "sslmode", "sslrootcert": "sslrootcert"}
    return {
        **{name: shown[theirs] for name, theirs in named.items()},
        **{name: str(path) for name, path in files.items()},
    }


def backends(jit: Running, name: str) -> int:
    with jit.target() as root:
        found = root.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [name])
        row = found.fetchone()
    return int(row[0]) if row else 0


async def opened(how: dict[str, Any], count: int) -> tuple[list[psycopg.AsyncConnection[Any]], int]:
    """Return `count` sessions in which a statement was answered, and how many failed."""
    gate, failed = asyncio.Semaphore(AT_ONCE), 0

    async def one() -> psycopg.AsyncConnection[Any] | None:
        nonlocal failed
        async with gate:
            try:
                made = await psycopg.AsyncConnection.connect(**how, autocommit=True)
                await made.execute("SELECT 1")
            except psycopg.Error as why:
                failed += 1
                print(f"  a session failed: {why}")
                return None
            return made

    made = await asyncio.gather(*(one() for _ in range(count)))
    return [each for each in made if each], failed


async def working(connection: psycopg.AsyncConnection[Any]) -> None:
    """Run a query until it is ended from the other side."""
    try:
        await connection.execute("SELECT pg_sleep(600)")
    except psycopg.OperationalError:
        return
    raise AssertionError("the query outlived its grant")


async def measure(jit: Running, folder: Path) -> list[tuple[str, float, float, str]]:
    _, grant = jit.active(duration_seconds=3000)
    name, pid = f"jit_{UUID(grant).hex}", jit.pid("gateway")
    with jit.target() as root:
        root.execute(f'ALTER ROLE "{name}" CONNECTION LIMIT -1')
    how = certified(jit, grant, folder)
    before, began = resident(pid), time.perf_counter()
    live, failed = await opened(how, SESSIONS)
    took = time.perf_counter() - began
    await asyncio.sleep(2)
    each = (resident(pid) - before) / max(len(live), 1)
    print(f"{len(live)} sessions live after {took:.1f} s, {len(live) / took:.0f} a second")
    for connection in live[REVOKED:]:
        await connection.close()
    live = live[:REVOKED]
    works = [asyncio.create_task(working(connection)) for connection in live]
    await asyncio.to_thread(processes.until, lambda: backends(jit, name) == len(live))
    await asyncio.sleep(2)
    began = time.perf_counter()
    said = await asyncio.to_thread(jit.rita.post, f"grants/{grant}/return/")
    assert said.ok, said.text
    await asyncio.gather(*works)
    told = time.perf_counter() - began
    await asyncio.to_thread(processes.until, lambda: not backends(jit, name))
    gone = time.perf_counter() - began
    print(f"the last of {len(live)} was told after {told:.2f} s")
    for connection in live:
        await connection.close()
    jit.wait(grant, "ENDED")
    return [
        (f"failures of {SESSIONS} sessions", failed, 0, ""),
        ("memory a session", each, KILOBYTES, "kB"),
        (f"revoking {REVOKED} busy sessions, backends gone", gone, REVOKED_WITHIN, "s"),
    ]


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="jit-bench-") as temporary,
        processes.installation(**processes.BRISK, target_connections="700") as jit,
    ):
        print(f"load {os.getloadavg()[0]:.1f}")
        rows = asyncio.run(measure(jit, Path(temporary)))
    missed = False
    for what, value, limit, unit in rows:
        met = value <= limit
        missed = missed or not met
        told = "met" if met else "MISSED"
        print(f"{what:<46}{value:>8.2f} {unit:<3} at most {limit:g}: {told}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

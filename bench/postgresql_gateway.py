"""pgbench and big results through the PostgreSQL gateway, beside direct and pgbouncer, in one run.

    python -m bench.postgresql_gateway [--seconds 3] [--clients 8] [--profile]

One cluster, one machine, loopback, no TLS (the embedded server has none) but for one line. The
gateway records every statement, with its parameters, onto this machine's disk; pgbouncer (Debian's,
session mode) records nothing. Ratios mean something, absolute numbers are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("JIT_SECRET_KEY", secrets.token_urlsafe(48))
os.environ.setdefault("JIT_SEALING_KEY", base64.b64encode(secrets.token_bytes(32)).decode())
os.environ["JIT_EMBEDDED"] = "1"
os.environ["JIT_LOG_LEVEL"] = "WARNING"
os.environ["DJANGO_SETTINGS_MODULE"] = "jit.settings"

from jit.ops.embedded import ground
from jit.ops.embedded.postgres import Cluster

PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"
PSQL = "/usr/lib/postgresql/15/bin/psql"
USER, PASSWORD = "bench", "bench"
ROWS = 1_000_000
MODES = ("simple", "extended", "prepared")


# --- The gateway's process ----------------------------------------------------------------


def serve(order: dict[str, Any]) -> None:
    """Run a gateway with a real recorder that lets the bench's user in, until stopped."""
    import django

    django.setup()
    import uvloop

    from jit.kernel import clock
    from sessions.gateways.postgresql import certificates
    from sessions.gateways.postgresql.interfaces import AdmittedSession, TargetConnection
    from sessions.gateways.postgresql.protocol import scram
    from sessions.gateways.postgresql.server import PostgreSQLGateway
    from sessions.recording.recorder import Recorder

    folder = Path(order["folder"])
    recorder = Recorder(folder / "spool")
    salt = scram.salt_of(USER)
    verifier = scram.make(PASSWORD, salt=salt)
    target_connection = TargetConnection(
        host=order["host"],
        port=order["port"],
        database="bench",
        user=USER,
        password=PASSWORD,
        sslmode="disable",
    )

    class BenchBroker:
        """Lets the bench's user in as often as they come."""

        def salt(self, _name: str) -> bytes:
            return salt

        async def verifiers(self, _name: str) -> list[scram.Verifier]:
            return [verifier]

        async def admit(self, _knock: object) -> AdmittedSession:
            return AdmittedSession(
                session_id=uuid.uuid4(),
                grant_id=uuid.uuid4(),
                person="bench",
                target="bench",
                role="bench",
                over_at=time.monotonic() + 3600,
                record="required",
                target_connection=target_connection,
            )

        def record(self, admitted: AdmittedSession, on_failure: Callable[[str], None]) -> Any:
            return recorder.open(
                session_id=admitted.session_id,
                header={"term": {"cols": 120, "rows": 40}},
                on_failure=lambda _, why: on_failure(why),
            )

        async def enter(self, *_: object) -> None: ...

        async def leave(self, _admitted: object, recording: Any, *_: object) -> None:
            await recording.close()

        async def terminate(self, *_: object) -> None: ...

    authority, certificate, key = certificates.ensure(folder, names=["127.0.0.1"], now=clock.now())
    context = certificates.context(certificate=certificate, key=key, client_authority=None)

    async def run() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        gateway = PostgreSQLGateway(
            broker=BenchBroker(),
            tls=context,
            certificate=certificates.der(certificate),
            plaintext_on_loopback=True,
        )
        print(json.dumps({"port": listening.getsockname()[1], "authority": str(authority)}))
        sys.stdout.flush()
        serving = asyncio.ensure_future(gateway.serve(listening))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    if order["profile"]:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(uvloop.run, run())
        with Path(order["profile"]).open("w", encoding="utf-8") as out:
            pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(45)
    else:
        uvloop.run(run())
    recorder.stop()


# --- The three ways to the cluster ----------------------------------------------------------


@contextlib.contextmanager
def gateway(cluster: Cluster, folder: Path, profile: str) -> Iterator[tuple[int, str, int]]:
    """Yield the gateway's port, its authority's file and its process id."""
    order = {"folder": str(folder), "host": cluster.host, "port": cluster.port, "profile": profile}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.postgresql_gateway", "--serve", json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        where = json.loads(process.stdout.readline())
        try:
            yield where["port"], where["authority"], process.pid
        finally:
            process.stdin.close()
            process.wait(30)


@contextlib.contextmanager
def pgbouncer(cluster: Cluster, home: Path) -> Iterator[int]:
    """Yield pgbouncer's port, or 0 where it is not installed."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not program:
        yield 0
        return
    port = ground.free_port()
    folder = home / "pgbouncer"
    folder.mkdir()
    (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    (folder / "ini").write_text(
        f"[databases]\nbench = host={cluster.host} port={cluster.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = scram-sha-256\n"
        f"auth_file = {folder}/users\npool_mode = session\nunix_socket_dir =\n"
        f"logfile = {folder}/log\nmax_client_conn = 100\ndefault_pool_size = 50\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    runner = ground.account()
    if runner:
        for path in (folder, *folder.iterdir()):
            os.chown(path, runner.uid, runner.gid)
    process = subprocess.Popen(
        [program, "-q", str(folder / "ini")],
        stderr=subprocess.DEVNULL,
        user=runner.uid if runner else None,
        group=runner.gid if runner else None,
    )
    try:
        while not answers(port):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# --- What is measured -----------------------------------------------------------------------


def pgbench(port: int, mode: str, *, clients: int, seconds: int, tls: str = "") -> float:
    """Return transactions a second of `pgbench -S`."""
    environment = {"PGPASSWORD": PASSWORD, "PATH": os.defpath, "LC_ALL": "C"}
    environment["PGSSLMODE"] = "verify-full" if tls else "disable"
    if tls:
        environment["PGSSLROOTCERT"] = tls
    said = subprocess.run(
        [
            *(PGBENCH, "--select-only", "--no-vacuum", f"--protocol={mode}"),
            *(f"--client={clients}", "--jobs=2", f"--time={seconds}", "--host=127.0.0.1"),
            *(f"--port={port}", f"--username={USER}", "bench"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    found = re.search(r"tps = ([\d.]+)", said.stdout)
    assert found, said.stderr
    return float(found[1])


def psql(port: int, command: str) -> float:
    """Return the seconds of one command whose result is thrown away."""
    where = f"host=127.0.0.1 port={port} user={USER} dbname=bench sslmode=disable"
    began = time.perf_counter()
    subprocess.run(
        [PSQL, "--no-psqlrc", "--quiet", "--no-align", "--output=/dev/null", where, "-c", command],
        check=True,
        env={"PGPASSWORD": PASSWORD, "PATH": os.defpath, "LC_ALL": "C"},
    )
    return time.perf_counter() - began


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def prepare(cluster: Cluster) -> None:
    cluster.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
    cluster.sql(f"CREATE DATABASE bench OWNER {USER}")
    subprocess.run(
        [PGBENCH, "--initialize", "--quiet", "--scale=10", "--host=127.0.0.1",
         f"--port={cluster.port}", f"--username={USER}", "bench"],
        check=True, capture_output=True, env={"PGPASSWORD": PASSWORD, "PATH": os.defpath},
    )  # fmt: skip


def measure(cluster: Cluster, home: Path, *, seconds: int, clients: int, profile: str) -> bool:
    folder = home / "gateway"
    folder.mkdir()
    with (
        pgbouncer(cluster, home) as bouncer,
        gateway(cluster, folder, profile) as (port, authority, pid),
    ):
        ways = {"direct": cluster.port, "gateway": port}
        if bouncer:
            ways["pgbouncer"] = bouncer
        else:
            print("pgbouncer is not installed: not measured")
        print(f"\npgbench -S, {clients} clients, tps   load {os.getloadavg()[0]:.1f}")
        for mode in MODES:
            rounds: dict[str, list[float]] = {way: [] for way in ways}
            spent = done = 0.0
            for turn in range(2):
                for way in sorted(ways, reverse=bool(turn)):
                    before = cpu(pid)
                    tps = pgbench(ways[way], mode, clients=clients, seconds=seconds)
                    rounds[way].append(tps)
                    if way == "gateway":
                        spent, done = spent + cpu(pid) - before, done + tps * seconds
            middle = {way: statistics.mean(tps) for way, tps in rounds.items()}
            ratio = middle["gateway"] / middle["direct"]
            print(
                f"  {mode:9}"
                + "".join(f" {way} {tps:7.0f}" for way, tps in middle.items())
                + f"   gateway/direct {ratio:.2f}"
                + (f", /pgbouncer {middle['gateway'] / middle['pgbouncer']:.2f}" if bouncer else "")
                + f", {1e6 * spent / done:.0f} us CPU a transaction"
            )
        tps = pgbench(port, "prepared", clients=clients, seconds=seconds, tls=authority)
        print(f"  prepared, over TLS: gateway {tps:.0f}")
        print("\nprepared, 1 client, ms a transaction")
        for way, where in ways.items():
            print(f"  {way:9} {1000 / pgbench(where, 'prepared', clients=1, seconds=seconds):.3f}")
        series = f"SELECT n, md5(n::text), repeat('x', 50) FROM generate_series(1, {ROWS}) AS n"
        for label, command in (("COPY out", f"COPY ({series}) TO STDOUT"), ("SELECT", series)):
            print(f"\n{label} of {ROWS:,} rows, seconds (best of 2)")
            for way, where in ways.items():
                before = cpu(pid)
                best = min(psql(where, command) for _ in range(2))
                extra = f"   {(cpu(pid) - before) / 2:.2f} CPU-s" if way == "gateway" else ""
                print(f"  {way:9} {best:.2f}{extra}")
        spooled = sum(file.stat().st_size for file in (folder / "spool").rglob("*.rec"))
        print(f"\nrecorded {spooled / 1e6:.1f} MB on the spool")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--profile", default="", help="write the gateway's profile to this file")
    parser.add_argument("--serve", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(json.loads(options.serve))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # So that nothing is left behind.
    home = ground.throw_away_home()
    cluster = Cluster(
        name="bench", home=home, password=secrets.token_hex(8), log=home / "log", lasting=False
    )
    try:
        cluster.start()
        prepare(cluster)
        measure(
            cluster,
            home,
            seconds=options.seconds,
            clients=options.clients,
            profile=options.profile,
        )
    finally:
        cluster.destroy()
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

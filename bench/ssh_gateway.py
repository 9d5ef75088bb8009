"""What the SSH gateway costs beside direct ssh, and how soon what it holds is dead.

Run it as `python -m bench.ssh_gateway`. It starts a whole installation with its demo host (a real
sshd) and meets both with the real ssh and sftp; keystrokes are timed by one asyncssh client on
both ways. All figures are ratios or differences within this one run.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh

from bench.journey import percentile
from jit.connectors.ssh.authority import Authority
from jit.kernel import clock
from tests.support import processes

ROLE, SEV1 = "web-1-operator", "OPS-4"
MEGABYTES = 64
ROUNDS = 3
KEYS, COMMANDS = 400, 30
SESSIONS, REVOKED, ENDED, CLICKS = 500, 200, 50, 20
CIPHER = "aes128-gcm@openssh.com"
PROMISES = {"throughput": 0.5, "echo p50": 2.0, "echo p95": 4.0, "kB a session": 100}


class Ways:
    """The two ways to one host: straight to its sshd, and through the gateway."""

    def __init__(self, jit: processes.Running, folder: Path) -> None:
        self.jit, self.folder = jit, folder
        told = json.loads(jit.environment["JIT_DEMO_HOST"])
        self.host, self.port = told["address"], told["port"]
        self.login = told["login"]
        self.key = folder / "id"
        private = asyncssh.generate_private_key("ssh-ed25519")
        self.key.write_bytes(private.export_private_key())
        self.key.chmod(0o600)
        self.public = private.export_public_key().decode().strip()
        self._certify(Authority.from_text(Path(told["ca"]).read_text()), "direct", [ROLE])
        self.gateway_port = int(jit.environment["JIT_SSH_GATEWAY"].rpartition(":")[2])
        self.grant: dict[str, Any] = {}

    def _certify(self, by: Authority, name: str, principals: list[str]) -> None:
        line = by.sign_user(
            public_key=self.public,
            key_id=f"bench_{name}",
            principals=principals,
            now=clock.now(),
            valid_for_seconds=3600,
            extensions=["permit-pty"],
        )
        (self.folder / f"{name}-cert.pub").write_text(line + "\n")

    def hold(self, seconds: int = 3000) -> str:
        """Take a grant for rita and a certificate of it for the gateway; return its id."""
        asked = self.jit.rita.ask(ROLE, SEV1, duration_seconds=seconds)
        assert asked.status_code == 201, asked.text
        request = asked.json()["id"]
        grant = processes.until(
            lambda: self.jit.rita.request(request)["grant"],
            lambda seen: bool(seen) and seen["state"] == "ACTIVE",
        )
        shown = self.jit.rita.post(
            f"grants/{grant['id']}/certificate/", {"public_key": self.public}
        )
        assert shown.status_code == 200, shown.text
        (self.folder / "gateway-cert.pub").write_text(shown.json()["certificate"] + "\n")
        self.grant = {**grant, "user": shown.json()["user"]}
        return str(grant["id"])

    def options(self, way: str) -> list[str]:
        told = {
            "IdentityFile": self.key,
            "CertificateFile": self.folder / f"{way}-cert.pub",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "LogLevel": "ERROR",
            "Ciphers": CIPHER,
        }
        return ["-F", "none", *(f"-o{name}={value}" for name, value in told.items())]

    def where(self, way: str) -> tuple[str, int]:
        return (
            (self.login, self.port) if way == "direct" else (self.grant["user"], self.gateway_port)
        )

    def ssh(self, way: str, *words: str) -> float:
        """Return the seconds that a command over ssh took, its output thrown away."""
        login, port = self.where(way)
        argv = ["ssh", *self.options(way), "-p", str(port), *words[:-1], f"{login}@{self.host}"]
        began = time.perf_counter()
        subprocess.run(
            [*argv, words[-1]], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        return time.perf_counter() - began

    def sftp(self, way: str, batch: str) -> float:
        login, port = self.where(way)
        argv = [
            "sftp",
            *self.options(way),
            "-q",
            "-P",
            str(port),
            "-b",
            "-",
            f"{login}@{self.host}",
        ]
        began = time.perf_counter()
        subprocess.run(argv, check=True, input=batch.encode(), stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    async def connect(self, way: str) -> asyncssh.SSHClientConnection:
        login, port = self.where(way)
        return await asyncssh.connect(
            self.host,
            port,
            username=login,
            client_keys=[(str(self.key), str(self.folder / f"{way}-cert.pub"))],
            known_hosts=None,
            encryption_algs=[CIPHER],
            config=None,
            agent_path=None,
        )


def log_lines(path: Path) -> None:
    """Write MEGABYTES of what a web server's log looks like."""
    line = b'203.0.113.%d - - [24/Nov/2026:08:00:%02d] "GET /cart/%06d HTTP/1.1" 200 %d\n'
    with path.open("wb") as file:
        number = 0
        while file.tell() < MEGABYTES * 1024 * 1024:
            file.write(
                b"".join(
                    line % (n % 250, n % 60, n * 7919 % 1000000, n % 9000)
                    for n in range(number, number + 10000)
                )
            )
            number += 10000
    path.chmod(0o644)


def throughput(ways: Ways, file: Path) -> dict[str, float]:
    """Return the gateway's share of the direct way's megabytes a second, by kind."""
    size = file.stat().st_size / 1e6
    kinds: dict[str, Callable[[str], float]] = {
        "exec": lambda way: ways.ssh(way, f"cat {file}"),
        "terminal": lambda way: ways.ssh(way, "-tt", f"cat {file}"),
        "sftp get": lambda way: ways.sftp(way, f"get {file} /dev/null\n"),
        "sftp put": lambda way: ways.sftp(way, f"put {file} /tmp/jit-bench-put-{way}\n"),
    }
    ratios = {}
    print(f"{'MB/s, the best of ' + str(ROUNDS):<24}{'direct':>10}{'gateway':>10}{'ratio':>8}")
    for kind, run in kinds.items():
        best = {"direct": 0.0, "gateway": 0.0}
        for _ in range(ROUNDS):
            for way, so_far in best.items():
                best[way] = max(so_far, size / run(way))
        ratios[kind] = best["gateway"] / best["direct"]
        print(f"{kind:<24}{best['direct']:>10.1f}{best['gateway']:>10.1f}{ratios[kind]:>8.2f}")
    for way in ("direct", "gateway"):
        ways.ssh(way, f"rm -f /tmp/jit-bench-put-{way}")
    return ratios


def commands(ways: Ways, folder: Path) -> None:
    """Print what one short command takes on a connection of its own, and multiplexed on one that
    stands (`ssh -M`), the two ways in turn: the gateway logs in on the host for each.
    """
    masters = []
    shared = {way: [f"-oControlPath={folder}/{way}.mux"] for way in ("direct", "gateway")}
    for way, options in shared.items():
        login, port = ways.where(way)
        argv = ["ssh", *ways.options(way), *options, "-M", "-N", "-p", str(port)]
        masters.append(subprocess.Popen([*argv, f"{login}@{ways.host}"]))
        processes.until((folder / f"{way}.mux").exists)
    for kind, options in (("on its own", {way: [] for way in shared}), ("multiplexed", shared)):
        times: dict[str, list[float]] = {way: [] for way in shared}
        for _ in range(COMMANDS):
            for way, seen in times.items():
                seen.append(ways.ssh(way, *options[way], "true") * 1000)
        direct, through = (statistics.median(times[way]) for way in ("direct", "gateway"))
        name = f"`true` {kind}, p50 ms"
        print(f"{name:<32}{direct:>10.1f}{through:>10.1f}{through - direct:>+8.1f}")
    for master in masters:
        master.terminate()
        master.wait(10)


async def echoes(ways: Ways) -> dict[str, list[float]]:
    """Return the milliseconds from a key to its echo, the two ways in turn."""
    open_ways = {}
    for way in ("direct", "gateway"):
        connection = await ways.connect(way)
        shell = await connection.create_process(
            "stty raw -echo; printf ready; exec cat", term_type="xterm", encoding=None
        )
        await shell.stdout.readuntil(b"ready")
        open_ways[way] = (connection, shell)
    times: dict[str, list[float]] = {"direct": [], "gateway": []}
    for _ in range(KEYS):
        for way, (_, shell) in open_ways.items():
            began = time.perf_counter()
            shell.stdin.write(b"k")
            await shell.stdout.readexactly(1)
            times[way].append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.002)
    for connection, _ in open_ways.values():
        connection.close()
    return times


def resident(pid: int) -> float:
    """Return a process's resident memory in kB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return float(next(row.split()[1] for row in status.splitlines() if row.startswith("VmRSS")))


async def many(ways: Ways, count: int, pid: int) -> tuple[list[Any], int, float, float]:
    """Open `count` sessions, 50 a connection's pace; return the live ones with the failures,
    the kB each cost the gateway, and the seconds it took.
    """
    before, began = resident(pid), time.perf_counter()
    gate = asyncio.Semaphore(20)
    failures = 0

    async def one() -> Any:
        nonlocal failures
        async with gate:
            try:
                connection = await ways.connect("gateway")
                shell = await connection.create_process("cat", term_type="xterm", encoding=None)
                shell.stdin.write(b"x\n")
                await asyncio.wait_for(shell.stdout.read(1), 20)
            except (asyncssh.Error, OSError, TimeoutError) as failed:
                failures += 1
                print(f"  a session failed: {failed}")
                return None
            return connection, shell

    opened = [each for each in await asyncio.gather(*(one() for _ in range(count))) if each]
    seconds = time.perf_counter() - began
    await asyncio.sleep(2)
    return opened, failures, (resident(pid) - before) / max(len(opened), 1), seconds


def is_alive(pid: int) -> bool:
    """Return whether a program still runs; one that is dead and not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def gone(shells: list[Any]) -> None:
    await asyncio.gather(*(shell.wait_closed() for _, shell in shells))


async def ends(ways: Ways) -> list[float]:
    """Return how long after the grant's end each of ENDED remote programs was dead."""
    grant = ways.hold(20)
    ends_at = clock.dt.datetime.fromisoformat(ways.jit.rita.grant(grant)["ends_at"]).timestamp()
    connections, pids = [], []
    for _ in range(5):
        connection = await ways.connect("gateway")
        connections.append(connection)
        for _ in range(ENDED // 5):
            shell = await connection.create_process("echo $$; exec sleep 600", encoding=None)
            pids.append(int((await shell.stdout.readline()).strip()))
    left, late = set(pids), []
    while left and time.time() < ends_at + 20:
        for pid in list(left):
            if not is_alive(pid):
                left.discard(pid)
                late.append(time.time() - ends_at)
        await asyncio.sleep(0.005)
    assert not left, f"{len(left)} programs outlived their grant"
    for connection in connections:
        connection.close()
    processes.until(lambda: ways.jit.rita.grant(grant)["state"], lambda state: state == "ENDED")
    return late


async def clicks(ways: Ways) -> list[float]:
    """Return the seconds from an auditor's Terminate to the closed channel."""
    spent = []
    for _ in range(CLICKS):
        connection = await ways.connect("gateway")
        shell = await connection.create_process("cat", term_type="xterm", encoding=None)
        shell.stdin.write(b"x\n")
        await shell.stdout.read(1)
        items = ways.jit.udo.get("sessions/", state="LIVE").json()["items"]
        began = time.perf_counter()
        said = await asyncio.to_thread(
            ways.jit.udo.post, f"sessions/{items[0]['id']}/terminate/", {"reason": "bench"}
        )
        assert said.ok, said.text
        await shell.wait_closed()
        spent.append(time.perf_counter() - began)
        connection.close()
    return spent


async def living(ways: Ways, pid: int) -> list[tuple[str, float, float, str]]:
    """Measure what lives: echoes, many sessions, their revocation, ends and clicks."""
    ways.hold()
    rows = []
    times = await echoes(ways)
    for share, name in ((0.5, "echo p50"), (0.95, "echo p95")):
        direct, through = (percentile(times[way], share) for way in ("direct", "gateway"))
        print(f"{name + ' ms':<24}{direct:>10.2f}{through:>10.2f}{through - direct:>+8.2f}")
        rows.append((f"added {name}", through - direct, PROMISES[name], "ms"))
    spent = await clicks(ways)
    rows.append(("terminate click, worst", max(spent), 0.5, "s"))
    opened, failures, kilobytes, seconds = await many(ways, SESSIONS, pid)
    print(f"{len(opened)} sessions live after {seconds:.1f} s, {failures} failed")
    rows.append((f"failures of {SESSIONS} sessions", failures, 0, ""))
    rows.append(("memory a session", kilobytes, PROMISES["kB a session"], "kB"))
    for connection, _ in opened[REVOKED:]:
        connection.close()
    await asyncio.sleep(3)
    began = time.perf_counter()
    said = ways.jit.rita.post(f"grants/{ways.grant['id']}/return/")
    assert said.status_code == 200, said.text
    await gone(opened[:REVOKED])
    rows.append((f"revoking {REVOKED} live sessions", time.perf_counter() - began, 3.0, "s"))
    processes.until(
        lambda: ways.jit.rita.grant(ways.grant["id"])["state"], lambda state: state == "ENDED"
    )
    late = await ends(ways)
    print(f"end to dead program: p50 {statistics.median(late):.3f} s of {len(late)}")
    rows.append(("grant's end to dead, p99", percentile(late, 0.99), 1.0, "s"))
    return rows


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="jit-bench-") as temporary,
        processes.installation(**processes.BRISK) as jit,
    ):
        folder = Path(temporary)
        folder.chmod(0o755)
        ways = Ways(jit, folder)
        ways.hold()
        file = folder / "access.log"
        log_lines(file)
        commands(ways, folder)
        ratios = throughput(ways, file)
        jit.give_back(ways.grant["id"])
        rows = [
            (f"throughput, {kind}", ratio, PROMISES["throughput"], "")
            for kind, ratio in ratios.items()
        ]
        rows += asyncio.run(living(ways, jit.pid("gateway")))
    missed = []
    for name, value, limit, unit in rows:
        at_least = name.startswith("throughput")
        met = value >= limit if at_least else value <= limit
        missed += [] if met else [name]
        word = "at least" if at_least else "at most"
        print(f"{name:<32}{value:>10.3f} {unit:<3} {word} {limit:g}: {'met' if met else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

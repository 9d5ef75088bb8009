"""Real PostgreSQL and Valkey for a test run: started once, gone when the run ends."""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_MARK = "JIT_TEST_SERVERS"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Target:
    """A PostgreSQL cluster to act on, and its superuser."""

    host: str
    port: int
    user: str
    password: str

    def dsn(self, database: str = "postgres") -> str:
        return (
            f"host={self.host} port={self.port} user={self.user} "
            f"password={self.password} dbname={database}"
        )


def ensure() -> dict[str, str]:
    """Return `database`, `superuser` and `redis` URLs of this run's servers, starting them once.

    A variable of the environment marks them as started: child processes (a web server under
    test) use the same ones. Each of xdist's workers has its own: a transaction that one leaves
    open holds back the sealing of the log in every database of the cluster.
    """
    mark = _MARK + os.environ.get("PYTEST_XDIST_WORKER", "")
    if mark not in os.environ:
        os.environ[mark] = _guarded("ours")
    where: dict[str, str] = json.loads(os.environ[mark])
    return where


@functools.cache
def target(version: str = "18") -> Target:
    """Return a cluster of PostgreSQL `"18"` or `"15"` apart from the product's own.

    Started on first use and kept for this process.
    """
    where = json.loads(_guarded(version))
    return Target(where["host"], int(where["port"]), where["user"], where["password"])


def _guarded(what: str) -> str:
    """Start a guardian and return its line; it stops its servers when our end of the pipe shuts."""
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.support.guardian", what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert guardian.stdin
    assert guardian.stdout
    line = guardian.stdout.readline()
    if not line:
        raise RuntimeError(f"the test servers ({what}) did not start: see the lines above")
    guardian.stdout.close()

    def stop() -> None:
        guardian.stdin.close()
        guardian.wait(30)

    atexit.register(stop)
    return line

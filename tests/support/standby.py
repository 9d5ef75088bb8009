"""A streaming standby of a target, by pg_basebackup: a real one, to log in on and to hold back."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from jit.ops.embedded import ground
from jit.ops.embedded.postgres import Cluster, wheel_binaries
from tests.contracts.ground import until
from tests.support import guardian, servers


@dataclass(frozen=True)
class Standby:
    host: str
    port: int
    cluster: Cluster

    def dsn(self, database: str = "postgres") -> str:
        return (
            f"host={self.host} port={self.port} user=postgres "
            f"password={self.cluster.password} dbname={database}"
        )


@contextlib.contextmanager
def standby_of(target: servers.Target, version: str) -> Iterator[Standby]:
    """Start a standby of the target, stopped and gone afterwards."""
    home = ground.throw_away_home()
    cluster = guardian.cluster(home, version, home / "log")
    cluster.password = target.password
    if version == "18" and (given := os.environ.get("JIT_TEST_POSTGRES")):
        cluster.binaries = Path(given)
    # A standby can't be opened for reading with less of these than its primary has.
    cluster.settings = {"max_prepared_transactions": "8"}
    where = f"host={target.host} port={target.port} user={target.user} password={target.password}"
    program = str(cluster.binaries / "pg_basebackup")
    if not Path(program).exists():
        program = str(wheel_binaries() / "pg_basebackup")
    copy = [f"--pgdata={cluster.folder}", f"--dbname={where}", "--checkpoint=fast", "--no-sync"]
    try:
        cluster._run(program, *copy)
        # Not by pg_basebackup: a newer one's words are not all known to an older server.
        with (cluster.folder / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"primary_conninfo = '{where}'\n")
        (cluster.folder / "standby.signal").touch()
        cluster.start()
        with psycopg.connect(target.dsn(), autocommit=True) as root:
            follows = "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'"
            assert until(lambda: root.execute(follows).fetchone() == (True,), seconds=30)
        yield Standby(cluster.host, cluster.port, cluster)
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)

"""Ends 1,000 grants on one PostgreSQL cluster, beside the same DROP ROLEs by psql.

    python -m bench.postgresql_revoke [--grants 1000] [--rounds 3]

In one connection each, on the same cluster, in turns. psql only drops; the connector neutralises,
cuts connections, looks for traces, drops, and proves each. It must reach 0.8 of the rate of psql as
a superuser, for whom the server checks no rights; as our service account psql is slower.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from psycopg import sql
from pydantic import SecretStr

import jit.connectors
from jit.connectors.base import Context, GrantSpec, Revoked
from jit.connectors.postgresql import PostgreSQL, means, writes
from jit.ops.embedded import ground
from jit.ops.embedded.postgres import Cluster

SETUP = Path(jit.connectors.__file__).parent / "sql" / "postgresql_16_setup.sql"
DEFINER = SETUP.with_name("postgresql_15_definer.sql")
POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "bench"
TARGET_RATIO = 0.8


def specs(grants: int) -> list[GrantSpec]:
    ends_at = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30)
    ids = [secrets.token_hex(16) for _ in range(grants)]
    return [GrantSpec(i, f"jit_{i}", "rita", {"member_of": "app_rw"}, ends_at) for i in ids]


def give(connector: PostgreSQL, wanted: Sequence[GrantSpec]) -> None:
    """Write the roles as the connector does, many in one transaction to save the bench's time."""
    note = '{"jit": 1, "role": "app_rw", "since_xid": "%s"}'
    for start in range(0, len(wanted), 100):
        with connector.wires.borrow(connector.context) as wire:
            rows = wire.begin(
                "begin",
                sql.SQL("SELECT mod(pg_current_xact_id()::text::numeric, 4294967296)::text AS x"),
                lock_seconds=5,
            )
            verifier = wire.connection.pgconn.encrypt_password(b"x", b"y", b"scram-sha-256")
            for spec in wanted[start : start + 100]:
                writes.means_for(wire.version).write(
                    wire,
                    means.Draft(
                        name=spec.external_name,
                        verifier=verifier.decode(),
                        deadline=spec.ends_at,
                        member_of="app_rw",
                        comment=note % rows[0]["x"],
                        connection_limit=5,
                    ),
                    None,
                )
            wire.commit("commit")


def by_psql(cluster: Cluster, user: str, password: str, wanted: Sequence[GrantSpec]) -> float:
    """Drop them one by one; the service account does it as whichever maker made them."""
    names = ",".join(f"'{spec.external_name}'" for spec in wanted)
    rows = cluster.sql(
        "SELECT DISTINCT ON (r.rolname) m.member::regrole, r.rolname FROM pg_auth_members m"
        f" JOIN pg_roles r ON r.oid = m.roleid AND m.admin_option WHERE r.rolname IN ({names})"
        if user != "postgres"
        else f"SELECT 'postgres', rolname FROM pg_roles WHERE rolname IN ({names})"
    )
    script, before = "", ""
    for maker, name in sorted(row.split("|") for row in rows.splitlines()):
        script += f"SET ROLE {maker};\n" * (maker != before) + f"DROP ROLE {name};\n"
        before = maker
    assert script.count("DROP") == len(wanted)
    started = time.perf_counter()
    subprocess.run(
        [
            cluster.binaries / "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--dbname=host={cluster.host} port={cluster.port} user={user} dbname=postgres",
        ],
        input=script,
        text=True,
        check=True,
        env={"PGPASSWORD": password, "PATH": os.defpath, "LC_ALL": "C"},
    )
    return time.perf_counter() - started


def by_connector(connector: PostgreSQL, wanted: Sequence[GrantSpec]) -> float:
    started = time.perf_counter()
    answers = connector.revoke(wanted)
    took = time.perf_counter() - started
    proven = [a for a in answers if isinstance(a, Revoked) and a.absent and a.evidence["was_there"]]
    assert len(proven) == len(wanted), next(a for a in answers if not isinstance(a, Revoked))
    assert connector.observe() == []
    return took


def _whole(script: Path) -> str:
    """Return a shipped script with those that it runs, for psql to read from its input."""
    text = script.read_text(encoding="utf-8")
    return re.sub(
        r"^\\ir (.*)$", lambda m: _whole(script.with_name(m[1])), text, flags=re.MULTILINE
    )


def set_up(cluster: Cluster, *, definer: bool) -> None:
    cluster.sql("CREATE ROLE app_rw")
    cluster.sql("\\set roles app_rw\n" + _whole(DEFINER if definer else SETUP))
    cluster.sql(f"ALTER ROLE elevation_service PASSWORD '{PASSWORD}'")


def run(cluster: Cluster, *, grants: int, rounds: int, definer: bool) -> bool:
    """Measure one cluster and print its lines; return whether the ratio is met."""
    set_up(cluster, definer=definer)
    config = PostgreSQL.config_model.parse(
        {
            "host": cluster.host,
            "port": cluster.port,
            "user": "elevation_service",
            "password": "db:service",
            "allowed_roles": ["app_rw"],
        }
    )
    connector = PostgreSQL(config, Context(resolve_db=lambda _: SecretStr(PASSWORD)))
    ways: dict[str, Callable[[Sequence[GrantSpec]], float]] = {
        "connector, all proven": lambda wanted: by_connector(connector, wanted),
        "psql, as a superuser": lambda wanted: by_psql(
            cluster, "postgres", cluster.password, wanted
        ),
    }
    if not definer:  # The service account of 15 may drop nothing itself.
        ways["psql, service account"] = lambda wanted: by_psql(
            cluster, "elevation_service", PASSWORD, wanted
        )
    took: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in sorted(ways, reverse=bool(turn % 2)):
            wanted = specs(grants)
            give(connector, wanted)
            took[way].append(ways[way](wanted))
    connector.close()
    ours = statistics.median(took["connector, all proven"])
    print(
        f"\n{cluster.name}, {'definer functions' if definer else 'direct'}: "
        f"{grants} grants, median of {rounds} rounds"
    )
    for way, seconds in sorted(took.items()):
        middle = statistics.median(seconds)
        print(f"  {way:24} {middle:7.3f} s {grants / middle:8.0f}/s   ratio {middle / ours:5.2f}")
    beside = "psql, as a superuser"
    ratio = statistics.median(took[beside]) / ours
    met = ratio >= TARGET_RATIO
    print(
        f"  connector's rate / {beside}: {ratio:.2f} (at least {TARGET_RATIO}): "
        f"{'met' if met else 'NOT MET'}"
    )
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grants", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["18", "15"])
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    home = ground.throw_away_home()
    met = True
    try:
        for name, more in (("PostgreSQL 18", {}), ("PostgreSQL 15", {"binaries": POSTGRES_15})):
            if options.only and not name.endswith(options.only):
                continue
            if more and not POSTGRES_15.is_dir():
                print("\nPostgreSQL 15 is not installed: not measured")
                continue
            cluster = Cluster(
                name=name.replace(" ", "-"),
                home=home,
                password=secrets.token_hex(8),
                log=home / "log",
                **more,
            )
            try:
                cluster.start()
                met &= run(
                    cluster, grants=options.grants, rounds=options.rounds, definer=bool(more)
                )
            finally:
                cluster.destroy()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

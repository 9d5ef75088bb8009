"""A thousand grants that end at one instant on one target, beside as many plain DROP ROLE by psql.

Run it as `python -m bench.storm`. It starts a whole installation in processes of its own, whose
disks are flushed as in production, with a worker process for each of two cores: the threads of one
share a core for all of their Python. The roles for psql are written as the connector writes its
own: a password, a deadline, a comment, a setting and a membership. Both take turns, so that a
neighbour's load falls on both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from psycopg import sql

from jit.ops.embedded.postgres import wheel_binaries
from tests.support import processes

GRANTS, ROUNDS, LIMIT = 1000, 5, 0.8
AHEAD = 12
"""Seconds between the last role's making and the common end, for the making to have calmed down."""

FILL = """
import datetime as dt, sys
from concurrent.futures import ThreadPoolExecutor
from django.db import connection
from jit.catalog.models import Role
from jit.elevation import provisioning
from jit.elevation.models import ElevationRequest, Grant
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.ids import uuid7
count, ahead, mark = {count}, {ahead}, "{mark}"
roles = Role.objects.select_related("target").filter(target__slug="orders-db")
roles = list(roles.order_by("slug"))
now = db.now()
people = User.objects.bulk_create(
    User(id=(made := uuid7()), username=f"storm-{{mark}}-{{n}}", person_id=made, created_at=now)
    for n in range(-(-count // len(roles)))
)
requests, grants = [], []
for n in range(count):
    user, role = people[n // len(roles)], roles[n % len(roles)]
    requests.append(ElevationRequest(
        requester=user, role=role, justification="bench", duration_seconds=600,
        granted_seconds=600, state="APPROVED", channel="api", created_at=now, lapses_at=now))
    grant = Grant(
        request=requests[-1], user=user, role=role, target=role.target, state="ACTIVE",
        duration_seconds=600, scheduled_for=now, starts_at=now, provisioned_at=now,
        ends_at=now + dt.timedelta(hours=1), created_at=now)
    grant.external_name = f"jit_{{grant.id.hex}}"
    grants.append(grant)
ElevationRequest.objects.bulk_create(requests)
Grant.objects.bulk_create(grants)
connector = provisioning.connector_of(roles[0].target)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda grant: connector.provision(provisioning.spec_of(grant)), grants))
end = db.now() + dt.timedelta(seconds=ahead)
Grant.objects.filter(pk__in=[grant.pk for grant in grants]).update(ends_at=end)
print(end.timestamp())
"""


def plain(jit: processes.Running, mark: str) -> float:
    """Return how long psql takes to drop as many roles, one statement each, in one connection:
    written as the connector writes them, and dropped by a superuser, who is checked the least.
    """
    names = [f"plain_{mark}_{number}" for number in range(GRANTS)]
    with jit.target() as connection, connection.transaction():
        makers = [
            row[0]
            for row in connection.execute(
                "SELECT rolname::text FROM pg_roles WHERE rolname LIKE '%\\_maker\\_%' ORDER BY 1"
            )
        ]
        for number, name in enumerate(names):
            role, member_of = sql.Identifier(name), ("reader", "writer", "admin")[number % 3]
            connection.execute(
                sql.SQL(
                    "SET LOCAL ROLE {maker}; CREATE ROLE {role} LOGIN NOINHERIT CONNECTION LIMIT 5"
                    " PASSWORD 'x' VALID UNTIL '2999-01-01'; COMMENT ON ROLE {role} IS {comment};"
                    " ALTER ROLE {role} SET role = {member_of}; RESET ROLE;"
                    " GRANT {of} TO {role} WITH ADMIN FALSE, INHERIT FALSE, SET TRUE"
                ).format(
                    maker=sql.Identifier(makers[number % len(makers)]),
                    role=role,
                    comment=sql.Literal("x" * 150),
                    member_of=sql.Literal(f"orders_{member_of}"),
                    of=sql.Identifier(f"orders_{member_of}"),
                )
            )
    script = "".join(f"DROP ROLE {name};\n" for name in names)
    where = " ".join(f"{key}={value}" for key, value in jit.superuser.items() if key != "password")
    started = time.monotonic()
    subprocess.run(
        [str(wheel_binaries() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", f"{where} dbname=orders"],
        input=script.encode(),
        env={"PGPASSWORD": str(jit.superuser["password"])},
        check=True,
    )
    return time.monotonic() - started


def ours(jit: processes.Running, mark: str) -> tuple[float, float]:
    """Return the seconds from the common end to the last role gone, and to the last ENDED."""
    printed = jit.manage("shell", "-v0", "-c", FILL.format(count=GRANTS, ahead=AHEAD, mark=mark))
    end = float(printed.strip().splitlines()[-1])
    while time.time() < end:
        time.sleep(0.01)
    gone = 0.0
    with jit.target() as connection:
        while not gone:  # asked so that it costs the target little: psql has no onlooker
            time.sleep(0.02)
            seen = connection.execute(
                "SELECT FROM pg_authid WHERE rolname >= 'jit_' AND rolname < 'jit`' LIMIT 1"
            ).fetchone()
            if seen is None:
                gone = time.time() - end
            elif time.time() - end > 120:
                raise SystemExit("after two minutes there are roles left")
    processes.until(lambda: _left(jit, mark), lambda left: left == 0, seconds=60)
    ((last, proven),) = jit.rows(
        "SELECT extract(epoch FROM max(g.revocation_verified_at)),"
        " count(*) FILTER (WHERE g.evidence ->> 'roles_found' = '0')"
        " FROM elevation_grant g JOIN identity_user u ON u.id = g.user_id WHERE u.username LIKE %s",
        f"storm-{mark}-%",
    )
    assert proven == GRANTS, f"only {proven} have their evidence"
    return gone, float(last) - end


def _left(jit: processes.Running, mark: str) -> int:
    ((left,),) = jit.rows(
        "SELECT count(*) FROM elevation_grant g JOIN identity_user u ON u.id = g.user_id"
        " WHERE u.username LIKE %s AND g.state <> 'ENDED'",
        f"storm-{mark}-%",
    )
    return int(left)


def main() -> int:
    ratios = []
    with processes.installation(lasting="yes") as jit:
        jit.add("worker-2", like="worker")
        plain(jit, "warm")
        print(f"{GRANTS} grants ending at once     roles gone   all ENDED   psql alone   ratio")
        for number in range(ROUNDS):
            before = plain(jit, f"{number}a")
            gone, ended = ours(jit, str(number))
            beside = statistics.mean([before, plain(jit, f"{number}b")])
            ratios.append(beside / ended)
            print(
                f"round {number + 1}                       {gone:9.2f} s {ended:9.2f} s"
                f" {beside:10.2f} s {ratios[-1]:7.2f}"
            )
    ratio = statistics.median(ratios)
    print(f"median ratio {ratio:.2f} (promise: at least {LIMIT})")
    return 0 if ratio >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

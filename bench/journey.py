"""From the last yes to a credential that logs in, and from a grant's end to a shut door.

Run it as `python -m bench.journey`. It starts a whole installation in processes of its own and
meets it from outside only: over HTTP as its people, and on the target as whoever holds the
credential. Beside it stands what the machine took for one plain read at the same time.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.support import processes

RUNS = 50
LANES = [
    ("rita", processes.READER, []),
    ("rita", processes.WRITER, ["ada"]),
    ("rita", processes.ADMIN, ["bo", "olga"]),
    ("ada", processes.READER, ["bo"]),
    ("ada", processes.WRITER, ["bo"]),
    ("bo", processes.READER, ["ada"]),
    ("bo", processes.WRITER, ["ada"]),
]
UP_LIMIT, END_LIMIT = 1.0, 1.5


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that `share` of the values don't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def elevate(jit: processes.Running) -> tuple[float, float]:
    """Return the seconds from the last approval's sending to the first log-in, and the seconds
    of one plain HTTP read.
    """
    started = time.monotonic()
    jit.rita.get("me/")
    plain = time.monotonic() - started
    request_id = jit.rita.ask().json()["id"]
    started = time.monotonic()
    grant_id = jit.ada.decide(request_id).json()["grant"]["id"]
    while True:
        shown = jit.rita.post(f"grants/{grant_id}/credential/")
        if shown.status_code == 200:
            break
        time.sleep(0.02)
    jit.log_in(shown.json()).close()
    taken = time.monotonic() - started
    jit.give_back(grant_id)
    return taken, plain


def ending(jit: processes.Running, who: str, role: str, yes: list[str]) -> tuple[float, float]:
    """Return the seconds from `ends_at` until an open connection was cut, and until the role was
    seen gone by somebody else.
    """
    request_id = jit.person(who).ask(role, duration_seconds=10).json()["id"]
    for approver in yes:
        jit.person(approver).decide(request_id)
    grant_id = jit.person(who).request(request_id)["grant"]["id"]
    jit.wait(grant_id, "ACTIVE", by=who)
    name = f"jit_{grant_id.replace('-', '')}"
    connection = jit.log_in(jit.credential(grant_id, by=who))
    ((end,),) = jit.rows(
        "SELECT extract(epoch FROM ends_at) FROM elevation_grant WHERE id = %s", grant_id
    )
    cut = gone = 0.0
    with jit.target() as outside:
        while not (cut and gone):
            if not cut:
                try:
                    connection.execute("SELECT 1")
                except psycopg.OperationalError:
                    cut = time.time() - float(end)
            if not gone:
                row = outside.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
                if row.fetchone() is None:
                    gone = time.time() - float(end)
            time.sleep(0.01)
    jit.wait(grant_id, "ENDED", by=who)
    return cut, gone


def several_endings(jit: processes.Running) -> list[tuple[float, float]]:
    """Return the delays of at least RUNS grants, each ended by the clock alone. Several people
    hold some side by side, since the shortest takes ten seconds.
    """
    rounds = math.ceil(RUNS / len(LANES))

    def walk(place: int) -> list[tuple[float, float]]:
        time.sleep(place * 1.3)  # so that no two end together
        return [ending(jit, *LANES[place]) for _ in range(rounds)]

    with ThreadPoolExecutor(len(LANES)) as pool:
        return [each for lane in pool.map(walk, range(len(LANES))) for each in lane]


def line(what: str, values: list[float], share: float, limit: float | None = None) -> bool:
    worst = percentile(values, share)
    promise = f"< {limit:.1f} s" if limit else ""
    print(
        f"{what:44} {statistics.median(values) * 1000:7.0f} ms {worst * 1000:7.0f} ms"
        f"  (p{share * 100:.0f}) {promise}"
    )
    return limit is None or worst < limit


def main() -> int:
    with processes.installation(lasting="yes", **processes.BRISK) as jit:
        elevate(jit)
        ups = [elevate(jit) for _ in range(RUNS)]
        ends = several_endings(jit)
    print(f"over {RUNS} runs each                               p50       worst")
    met = line("last approval -> the credential logs in", [up for up, _ in ups], 0.95, UP_LIMIT)
    line("  one plain GET /me/ in between", [plain for _, plain in ups], 0.95)
    met &= line("ends_at -> its open connection is cut", [cut for cut, _ in ends], 0.99, END_LIMIT)
    met &= line("ends_at -> its role is gone", [gone for _, gone in ends], 0.99, END_LIMIT)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

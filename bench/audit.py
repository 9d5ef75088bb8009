"""What sealing costs those who write, and how fast the log is verified.

Run it as `python -m bench.audit`. It starts a throw-away PostgreSQL. Writers and the sealer are
processes of their own, as in production; rounds with and without the sealer take turns (first
one, then the other, first), and each pair is compared by itself, so that a neighbour's load
falls on both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django

django.setup()

from django.db import connection, transaction  # noqa: E402 -- Django is set up first

from jit.audit import checking, exporting, queries, sealing, verifier  # noqa: E402
from jit.audit import operations as audit  # noqa: E402
from jit.kernel import clock  # noqa: E402
from jit.kernel.actor import CLOCK  # noqa: E402

COST_LIMIT, VERIFY_LIMIT = 0.05, 100_000
STORED = 100_000
TEXT = "because the orders are stuck and the queue of payments is growing; " * 12
fork = multiprocessing.get_context("fork")

FILL = """
WITH made AS (
    SELECT gen_random_uuid() AS id, n, %s::timestamptz + n * %s::interval AS at
    FROM generate_series(1, %s) n
)
INSERT INTO audit_event (id, at, actor_kind, actor_id, actor_name, channel, action, subject_type,
    subject_id, target, role, person, words, body)
SELECT id, at, 'user', 'bench', 'rita', 'web', 'user.signed-in', 'user', 'bench', '', '', '', '',
    convert_to('{"action":"user.signed-in","actor":{"id":"bench","kind":"user","name":"rita"},'
    || '"at":"' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","body":{"n":' || n || ',"text":"' || %s || '"},"channel":"web","id":"' || id
    || '","links":{"grant_id":null,"person":"","request_id":null,"role":"","target":""},'
    || '"subject":{"id":"bench","label":"rita","type":"user"}}', 'UTF8')
FROM made ORDER BY n
"""


def fresh_database() -> None:
    """Make and migrate a database as its owner, then act as the application."""
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_row (id int PRIMARY KEY, moved int NOT NULL)")
        cursor.execute("INSERT INTO bench_row SELECT n, 0 FROM generate_series(0, 63) n")
    connection.close()
    connection.settings_dict["OPTIONS"]["assume_role"] = "jit_app"


def writer(own: int, pipe: Connection) -> None:
    """Move a row and tell of it, again and again for as long as told; answer with how often."""
    subject = audit.Subject(type="bench", id=str(own), label="bench")
    while (seconds := pipe.recv()) is not None:
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("UPDATE bench_row SET moved = moved + 1 WHERE id = %s", [own])
                audit.record(
                    action="target.health-changed",
                    actor=CLOCK,
                    now=clock.now(),
                    subject=subject,
                    body={"text": TEXT, "count": count},
                )
            count += 1
        pipe.send(count)


def sealer(pipe: Connection) -> None:
    """Seal every second for as long as told; answer with the events sealed and the time it took."""
    while (seconds := pipe.recv()) is not None:
        sealed, busy, end = 0, 0.0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            start = time.perf_counter()
            sealed += sealing.seal(now=clock.now())
            busy += time.perf_counter() - start
            time.sleep(min(1.0, left))
        pipe.send((sealed, busy))


def child(work: Callable[..., None], *arguments: Any) -> Connection:
    ours, theirs = fork.Pipe()
    fork.Process(target=work, args=(*arguments, theirs), daemon=True).start()
    return ours


def cost_of_sealing(writers: int, rounds: int, seconds: float) -> float:
    """Print the appends of each kind of round; return the share of them that sealing cost.

    That is the median of the pairs, unless the machine is so noisy that the pairs can't tell:
    then it is the share of a round that sealing its events takes with the writers at rest.
    """
    connection.close()
    pipes = [child(writer, own) for own in range(writers)]
    seals = child(sealer)

    def one_round(*, sealed: bool) -> float:
        for pipe in pipes:
            pipe.send(seconds)
        if sealed:
            seals.send(seconds)
        count: int = sum(pipe.recv() for pipe in pipes)
        if sealed:
            events, busy = seals.recv()
            work.append((events, busy))
        start = time.perf_counter()  # No round inherits another's backlog.
        sealing.seal(now=clock.now())
        if not sealed:
            alone.append((time.perf_counter() - start) / seconds)
        return count / seconds

    work: list[tuple[int, float]] = []
    alone: list[float] = []
    one_round(sealed=True)
    work.clear()
    plain: list[float] = []
    with_sealer: list[float] = []
    for number in range(rounds):
        for sealed in (False, True) if number % 2 else (True, False):
            (with_sealer if sealed else plain).append(one_round(sealed=sealed))
    for pipe in (*pipes, seals):
        pipe.send(None)
    print(f"{writers} writers, {rounds} pairs of rounds of {seconds:g} s")
    events, busy = (sum(column) for column in zip(*work, strict=True))
    print(f"  {'sealer busy':<28}{busy / (rounds * seconds):>10.1%}  {events} events")
    return judged(plain, with_sealer, alone)


def judged(plain: list[float], with_sealer: list[float], alone: list[float]) -> float:
    ratios = [there / without for without, there in zip(plain, with_sealer, strict=True)]
    for name, values, form in (
        ("appends/s without sealing", plain, ".0f"),
        ("appends/s with sealing", with_sealer, ".0f"),
        ("ratio of each pair, median", ratios, ".3f"),
        ("a round sealed afterwards", alone, ".2%"),
    ):
        print(f"  {name:<28}{statistics.median(values):>10{form}}  {spread(values)}")
    cost = 1 - statistics.median(ratios)
    doubt = 2 * 1.25 * statistics.stdev(ratios) / len(ratios) ** 0.5
    if abs(cost - COST_LIMIT) < doubt:
        print(f"  cost {cost:.1%} ± {doubt:.1%}: drowned by neighbours; the time alone decides")
        return statistics.median(alone)
    return cost


def spread(values: list[float]) -> str:
    low, *_, high = sorted(values)
    return f"({low:.3g} to {high:.3g})"


def timed[Result](name: str, count: int, work: Callable[[], Result]) -> tuple[Result, float]:
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{name:<44}{count / wall:>12,.0f}{count / processor:>14,.0f}")
    return result, count / processor


def reading() -> float:
    """Print the speed of sealing, exporting and verifying; return the events that one core
    verifies in a second of its time.
    """
    with connection.cursor() as cursor:
        cursor.execute(FILL, ["2026-11-23 12:00:00+00", "1 millisecond", STORED, TEXT])
    while queries.lag(now=clock.now()).waiting < STORED:
        pass
    print(f"{f'events a second, of {STORED:,} of 1.2 kB':<44}{'wall':>12}{'a core':>14}")
    half, before, now = STORED // 2, size(), clock.now()
    timed("seal, 20,000 a checkpoint", half, lambda: seal_up_to(before + half, 20_000))
    timed("seal, 100 a checkpoint", half, lambda: seal_up_to(before + STORED, 100))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"

        def export() -> None:
            with path.open("wb") as file:
                exporting.export(out=file, now=now)

        total = size()
        timed("export", total, export)
        best = 0.0
        for _ in range(3):
            report, speed = timed("verify the export", total, lambda: verifier.verify(path))
            assert report.events == total
            best = max(best, speed)
    found, _ = timed("verify the database", total, checking.verify_everything)
    assert found.valid, found.detail
    proofs()
    return best


def size() -> int:
    checkpoint = queries.latest_checkpoint()
    return checkpoint.size if checkpoint else 0


def seal_up_to(target: int, limit: int) -> None:
    while (done := size()) < target:
        sealing.seal_batch(now=clock.now(), limit=min(limit, target - done))


def proofs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM audit_leaf ORDER BY idx")
        sequence = [row[0] for row in cursor.fetchall()]
    took = []
    for seq in random.Random(7).sample(sequence, 200):
        start = time.perf_counter()
        assert queries.verify_event(seq).valid
        took.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(took, n=20)
    print(f"verify one event of {len(sequence):,}: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    fresh_database()
    cost = cost_of_sealing(options.writers, options.rounds, options.seconds)
    speed = reading()
    met = (cost <= COST_LIMIT, speed >= VERIFY_LIMIT)
    print(f"sealing costs {cost:.1%} of appends (at most 5 %): {'met' if met[0] else 'NOT MET'}")
    print(
        f"verify {speed:,.0f} events/s a core (at least 100,000): {'met' if met[1] else 'NOT MET'}"
    )
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What a scrape of `/metrics` takes beside how long the audit log has become, figure by figure.

Run it as `python -m bench.metrics [--events 5000000]`. It starts a throw-away PostgreSQL and fills
it twice: with a hundredth of the events, then with all of them, spread over this month up to now
and sealed. `make bench` does not ask for it: five million take a while.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable

from django.db import connection

from bench import audit as fill  # Sets up Django.
from jit.audit import sealing
from jit.kernel import clock
from jit.ops import metrics
from jit.ops.asking import Asking

ROUNDS = 7
AT_ONCE = 100_000


class Timing(Asking):
    """Asks as a scrape does and keeps how long each figure took."""

    def __init__(self) -> None:
        super().__init__()
        self.took: dict[str, float] = {}

    def figure[Answer](self, name: str, question: Callable[[], Answer]) -> Answer | None:
        started = time.perf_counter()
        try:
            return super().figure(name, question)
        finally:
            self.took[name] = time.perf_counter() - started


def grow(count: int, *, before: int, of: int) -> None:
    """Write events `before` to `count` of `of`, which reach from this month's begin to now."""
    now = clock.now()
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    step = (now - begin) / of
    for at in range(before, count, AT_ONCE):
        some = min(AT_ONCE, count - at)
        with connection.cursor() as cursor:
            cursor.execute(fill.FILL, [begin + at * step, step, some, fill.TEXT])
        sealing.seal(now=clock.now())
        sys.stderr.write(f"\r{at + some:,} events")
    sys.stderr.write("\n")
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")
        cursor.execute("ANALYZE")
        cursor.execute("SET ROLE jit_app")


def measure() -> dict[str, float]:
    """Return the median seconds of each figure, and of the whole scrape as `all`."""
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        asking = Timing()
        metrics.Asking = lambda asking=asking: asking  # type: ignore[misc, assignment]
        started = time.perf_counter()
        metrics.text()
        rounds.append(asking.took | {"all": time.perf_counter() - started})
        if asking.missing:
            print(f"no answer in its time: {', '.join(asking.missing)}")
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def main() -> int:
    """Print the table; return 0 if the whole scrape takes less than a figure alone may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5_000_000)
    events = parser.parse_args().events
    fill.fresh_database()
    few = events // 100
    started = dt.datetime.now(dt.UTC)
    # The few are the last ones: the window that most figures look at is as full both times.
    grow(few, before=0, of=few)
    small = measure()
    grow(events, before=few, of=events)
    large = measure()
    print(f"filled within {(dt.datetime.now(dt.UTC) - started).total_seconds():.0f} s")
    print(f"| figure | ms at {few:,} events | ms at {events:,} | ratio |\n|---|---|---|---|")
    for name, seconds in large.items():
        print(
            f"| {name} | {small[name] * 1000:.1f} | {seconds * 1000:.1f}"
            f" | {seconds / small[name]:.1f} |"
        )
    return 0 if large["all"] < 1 else 1


if __name__ == "__main__":
    sys.exit(main())

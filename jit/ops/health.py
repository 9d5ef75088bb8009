"""Can this process serve? What `/readyz` asks, each check with its answer and its time."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string

from jit.audit import queries as audit
from jit.catalog import queries as catalog
from jit.elevation import queries as elevation
from jit.elevation.operations import SWEEP
from jit.kernel import clock, db
from jit.ops import broker

MOST_SKEW_SECONDS = 2.0
MOST_SEALING_LAG_SECONDS = 60.0
MOST_SWEEP_AGE_SECONDS = 10.0
"""The sweep runs each second."""


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. A failing check that is not `required` is told, and the process serves on:
    taking every web node away because the broker is down would widen the outage.
    """

    name: str
    ok: bool
    detail: str
    required: bool
    milliseconds: int


def _database() -> tuple[bool, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return True, f"answers as {cursor.fetchone()[0]}"


class _Migrations:
    """Whether the tables are as this code needs them. Once they are, they stay so for as long
    as this process runs, so the expensive question is asked until the answer is yes.
    """

    def __init__(self) -> None:
        self.done = False

    def __call__(self) -> tuple[bool, str]:
        if not self.done:
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                return False, f"{len(plan)} are missing; run `manage.py migrate`"
            self.done = True
        return True, "all applied"


migrations = _Migrations()


def skew_seconds() -> float:
    """Return the application's clock minus the database's, give or take half the way there."""
    before = clock.now()
    theirs = db.now()
    after = clock.now()
    return ((before + (after - before) / 2) - theirs).total_seconds()


def _clock() -> tuple[bool, str]:
    skew = skew_seconds()
    told = f"{skew:+.3f} s against the database's"
    return abs(skew) <= MOST_SKEW_SECONDS, told


def _broker() -> tuple[bool, str]:
    try:
        waiting = broker.waiting()
        return True, ", ".join(f"{count} wait in {name}" for name, count in waiting.items())
    except broker.BrokerAway as away:
        return False, f"does not answer ({away}); the sweep does the work, less promptly"


def _sweep() -> tuple[bool, str]:
    last = elevation.last_heartbeat(SWEEP)
    if last is None:
        return False, "never ran: does a worker run, and a beat?"
    age = (db.now() - last).total_seconds()
    if age <= MOST_SWEEP_AGE_SECONDS:
        return True, f"done {age:.0f} s ago"
    told = "nothing is given, and what ends is ended by the clock alone; does a worker run?"
    return False, f"last done {age:.0f} s ago: {told}"


def _sealing() -> tuple[bool, str]:
    lag = audit.lag(now=db.now())
    told = f"{lag.waiting} events unsealed, the oldest for {lag.seconds:.0f} s"
    return lag.seconds <= MOST_SEALING_LAG_SECONDS, told


def _targets() -> tuple[bool, str]:
    ill = catalog.targets_not_ok()
    return not ill, f"not ok: {', '.join(ill)}" if ill else "all ok, as last seen"


CHECKS: tuple[tuple[str, Callable[[], tuple[bool, str]], bool], ...] = (
    ("database", _database, True),
    ("migrations", migrations, True),
    ("clock", _clock, True),
    ("broker", _broker, False),
    ("sweep", _sweep, False),
    ("sealing", _sealing, False),
    ("targets", _targets, False),
)


def _ask(name: str, question: Callable[[], tuple[bool, str]], *, required: bool) -> Check:
    started = time.monotonic()
    try:
        ok, detail = question()
    except DatabaseFailure as failure:
        ok, detail = False, f"the database does not answer ({type(failure).__name__})"
    spent = round((time.monotonic() - started) * 1000)
    return Check(name=name, ok=ok, detail=detail, required=required, milliseconds=spent)


@dataclass(frozen=True, slots=True)
class Report:
    at: dt.datetime
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """`failing`: don't send people here. `degraded`: send them, and have a look."""
        if any(check.required and not check.ok for check in self.checks):
            return "failing"
        return "ok" if all(check.ok for check in self.checks) else "degraded"

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "at": clock.rfc3339(self.at),
            "checks": [asdict(check) for check in self.checks],
        }


def examine() -> Report:
    """Return the report. When the database is away nothing that needs it is waited for."""
    done: list[Check] = []
    wings = [(name, import_string(path), False) for name, path in settings.READINESS.items()]
    for name, question, required in (*CHECKS, *wings):
        if done and not done[0].ok and name != "broker":
            done.append(Check(name, False, "not asked", required, 0))
        else:
            done.append(_ask(name, question, required=required))
    return Report(at=clock.now(), checks=tuple(done))

"""`/metrics` in Prometheus's text format, counted afresh at each scrape (docs/howto/operate.md)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jit.ops import broker, figures, health
from jit.ops.asking import Asking

log = logging.getLogger(__name__)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = ("SCHEDULED", "ACTIVATING", "ACTIVE", "REVOKING")

type Family = GaugeMetricFamily


def _gauge(name: str, told: str, value: float | None) -> Iterator[Family]:
    """Yield the gauge, or nothing where there is no figure: an unknown is no zero."""
    if value is not None:
        yield GaugeMetricFamily(f"jit_{name}", told, value=value)


def _by(
    name: str, told: str, label: str, values: Mapping[str, float | None] | None
) -> Iterator[Family]:
    if values is None:
        return
    family = GaugeMetricFamily(f"jit_{name}", told, labels=[label])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key], value)
    yield family


def _quantiles(
    name: str, told: str, given: dict[str, figures.Durations | None], label: str = ""
) -> Iterator[Family]:
    labels = ["quantile", label] if label else ["quantile"]
    family = GaugeMetricFamily(f"jit_{name}", told, labels=labels)
    for key, durations in given.items():
        seconds = durations.seconds if durations else ()
        for quantile, value in zip(figures.QUANTILES, seconds, strict=False):
            family.add_metric([f"{quantile:g}", *([key] if label else [])], value)
    yield family


def _of_the_journey(seen: figures.Figures) -> Iterator[Family]:
    window = f"in the last {figures.WINDOW.seconds // 60} minutes"
    elevations, revocation, decision = seen.elevations, seen.revocation, seen.decision
    yield from _quantiles(
        "time_to_elevation_seconds",
        f"From the request, and from its approval, until the privilege worked, {window}",
        {
            "request": elevations.from_request if elevations else None,
            "approval": elevations.from_approval if elevations else None,
        },
        "since",
    )
    yield from _quantiles(
        "revocation_lag_seconds",
        f"From the end of a grant until it was seen gone, {window}",
        {"": revocation},
    )
    yield from _quantiles(
        "decision_seconds",
        f"From a request that needed approval until it was decided, {window}",
        {"": decision},
    )
    yield from _by(
        "recent",
        f"How many of each {window}",
        "what",
        {
            "elevations": elevations.from_request.count if elevations else None,
            "revocations": revocation.count if revocation else None,
            "decisions": decision.count if decision else None,
        },
    )
    yield from _by("recent_events", f"Audit events {window}", "action", seen.events)


def _of_the_work(seen: figures.Figures) -> Iterator[Family]:
    overdue, states = seen.overdue, seen.states
    yield from _gauge(
        "revocations_overdue",
        "Grants past their end and not yet gone",
        overdue.count if overdue else None,
    )
    yield from _gauge(
        "revocations_stuck",
        "Revocations that need a person: page",
        overdue.stuck if overdue else None,
    )
    yield from _gauge(
        "oldest_overdue_revocation_seconds",
        "How long ago the oldest of the overdue ended",
        overdue.oldest_seconds if overdue else None,
    )
    yield from _gauge(
        "sweep_age_seconds", "How long ago the sweep was last done", seen.sweep_age_seconds
    )
    yield from _by("sweep_depth", "Rows that are due for work now", "work", seen.depth)
    if states is not None:
        yield from _by(
            "grants",
            "Grants by state, without those that are over",
            "state",
            {state: states.get(("grant", state), 0) for state in STATES},
        )
        pending = states.get(("request", "PENDING"), 0)
        yield from _gauge("requests_pending", "Requests that wait for a decision", pending)
    yield from _gauge(
        "orphans_open", "Privilege on targets that the books don't know", seen.orphans
    )
    yield from _gauge("reviews_overdue", "After-reviews past their deadline", seen.reviews_overdue)


def _of_the_log(seen: figures.Figures) -> Iterator[Family]:
    lag = seen.sealing
    yield from _gauge(
        "audit_unsealed_events", "Events not yet sealed", lag.waiting if lag else None
    )
    yield from _gauge(
        "audit_sealing_lag_seconds", "Age of the oldest of them", lag.seconds if lag else None
    )
    yield from _gauge(
        "audit_checkpoint_age_seconds",
        "Age of the newest checkpoint",
        lag.checkpoint_age_seconds if lag else None,
    )
    yield from _gauge("audit_stray_events", "Events outside every month's partition", seen.strays)


def _of_the_targets(targets: Sequence[figures.TargetFigures]) -> Iterator[Family]:
    yield from _by(
        "target_up",
        "1 if the target was well when last asked",
        "target",
        {target.slug: target.ok for target in targets},
    )
    yield from _by(
        "target_clock_skew_seconds",
        "The target's clock minus ours",
        "target",
        {target.slug: target.skew_seconds for target in targets},
    )
    yield from _by(
        "target_health_age_seconds",
        "How long ago the target was asked",
        "target",
        {target.slug: target.age_seconds for target in targets},
    )


class Installation(Collector):
    """Asks the database and the broker at each scrape; what is away is told, not raised."""

    def describe(self) -> list[Family]:
        """Return nothing, so that registering this asks nobody."""
        return []

    def collect(self) -> Iterator[Family]:
        started = time.monotonic()
        yield from self._of_the_database()
        try:
            waiting = broker.waiting()
        except broker.BrokerAway:
            yield from _gauge("broker_up", "1 if the broker answers", 0)
        else:
            yield from _gauge("broker_up", "1 if the broker answers", 1)
            yield from _by("queue_depth", "Messages waiting for a worker", "queue", waiting)
        yield from _gauge("scrape_seconds", "What this scrape took", time.monotonic() - started)

    def _of_the_database(self) -> Iterator[Family]:
        asking = Asking()
        try:
            seen, skew = figures.take(asking), health.skew_seconds()
        except DatabaseFailure as failure:
            log.warning("no figures: the database does not answer (%s)", type(failure).__name__)
            yield from _gauge("database_up", "1 if the database answers in time", 0)
            return
        yield from _gauge("database_up", "1 if the database answers in time", 1)
        yield from _gauge(
            "clock_skew_seconds", "The application's clock minus the database's", skew
        )
        yield from _of_the_work(seen)
        yield from _of_the_journey(seen)
        yield from _of_the_log(seen)
        yield from _of_the_targets(seen.targets or ())
        for path in settings.METRICS:
            yield from import_string(path)(asking)
        yield from _by(
            "figure_missing",
            "1 for each figure that the database did not give in its time",
            "figure",
            dict.fromkeys(asking.missing, 1),
        )


REGISTRY = CollectorRegistry(auto_describe=False)
REGISTRY.register(Installation())


def text() -> bytes:
    """Return all metrics in Prometheus's text format 0.0.4."""
    return generate_latest(REGISTRY)

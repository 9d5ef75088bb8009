"""`/metrics` in Prometheus's text format, counted afresh at each scrape (docs/howto/operate.md)."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.utils.module_loading import import_string
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jit.ops import broker, figures, health

log = logging.getLogger(__name__)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATES = ("SCHEDULED", "ACTIVATING", "ACTIVE", "REVOKING")

type Family = GaugeMetricFamily


def _gauge(name: str, told: str, value: float) -> Family:
    return GaugeMetricFamily(f"jit_{name}", told, value=value)


def _by(name: str, told: str, label: str, values: Mapping[str, float]) -> Family:
    family = GaugeMetricFamily(f"jit_{name}", told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _quantiles(
    name: str, told: str, given: dict[str, figures.Durations], label: str = ""
) -> Family:
    labels = ["quantile", label] if label else ["quantile"]
    family = GaugeMetricFamily(f"jit_{name}", told, labels=labels)
    for key, durations in given.items():
        for quantile, seconds in zip(figures.QUANTILES, durations.seconds, strict=False):
            family.add_metric([f"{quantile:g}", *([key] if label else [])], seconds)
    return family


def _of_the_journey(seen: figures.Figures) -> Iterator[Family]:
    window = f"in the last {figures.WINDOW.seconds // 60} minutes"
    yield _quantiles(
        "time_to_elevation_seconds",
        f"From the request, and from its approval, until the privilege worked, {window}",
        {"request": seen.from_request, "approval": seen.from_approval},
        "since",
    )
    yield _quantiles(
        "revocation_lag_seconds",
        f"From the end of a grant until it was seen gone, {window}",
        {"": seen.revocation},
    )
    yield _quantiles(
        "decision_seconds",
        f"From a request that needed approval until it was decided, {window}",
        {"": seen.decision},
    )
    yield _by(
        "recent",
        f"How many of each {window}",
        "what",
        {
            "elevations": seen.from_request.count,
            "revocations": seen.revocation.count,
            "decisions": seen.decision.count,
        },
    )
    yield _by("recent_events", f"Audit events {window}", "action", seen.events)


def _of_the_work(seen: figures.Figures) -> Iterator[Family]:
    yield _gauge("revocations_overdue", "Grants past their end and not yet gone", seen.overdue)
    yield _gauge("revocations_stuck", "Revocations that need a person: page", seen.stuck)
    yield _gauge(
        "oldest_overdue_revocation_seconds",
        "How long ago the oldest of the overdue ended",
        seen.oldest_overdue_seconds,
    )
    if seen.sweep_age_seconds is not None:
        yield _gauge(
            "sweep_age_seconds", "How long ago the sweep was last done", seen.sweep_age_seconds
        )
    yield _by("sweep_depth", "Rows that are due for work now", "work", seen.depth)
    yield _by(
        "grants",
        "Grants by state, without those that are over",
        "state",
        {state: seen.grants.get(state, 0) for state in STATES},
    )
    yield _gauge("requests_pending", "Requests waiting", seen.requests.get("PENDING", 0))
    yield _gauge("orphans_open", "Privilege on targets that the books don't know", seen.orphans)
    yield _gauge("reviews_overdue", "After-reviews past their deadline", seen.reviews_overdue)


def _of_the_log(seen: figures.Figures) -> Iterator[Family]:
    yield _gauge("audit_unsealed_events", "Events not yet sealed", seen.sealing.waiting)
    yield _gauge("audit_sealing_lag_seconds", "Age of the oldest of them", seen.sealing.seconds)
    age = seen.sealing.checkpoint_age_seconds
    if age is not None:
        yield _gauge("audit_checkpoint_age_seconds", "Age of the newest checkpoint", age)
    yield _gauge("audit_stray_events", "Events outside every month's partition", seen.strays)


def _of_the_targets(seen: figures.Figures) -> Iterator[Family]:
    yield _by(
        "target_up",
        "1 if the target was well when last asked",
        "target",
        {target.slug: target.ok for target in seen.targets},
    )
    yield _by(
        "target_clock_skew_seconds",
        "The target's clock minus ours",
        "target",
        {
            target.slug: target.skew_seconds
            for target in seen.targets
            if target.skew_seconds is not None
        },
    )
    yield _by(
        "target_health_age_seconds",
        "How long ago the target was asked",
        "target",
        {target.slug: target.age_seconds for target in seen.targets},
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
            yield _gauge("broker_up", "1 if the broker answers", 0)
        else:
            yield _gauge("broker_up", "1 if the broker answers", 1)
            yield _gauge("queue_depth", "Messages waiting for a worker", waiting)
        yield _gauge("scrape_seconds", "What this scrape took", time.monotonic() - started)

    def _of_the_database(self) -> Iterator[Family]:
        try:
            seen, skew = figures.take(), health.skew_seconds()
            wings = [family for path in settings.METRICS for family in import_string(path)()]
        except DatabaseFailure as failure:
            log.warning("no figures: the database does not answer (%s)", type(failure).__name__)
            yield _gauge("database_up", "1 if the database answers in time", 0)
            return
        yield _gauge("database_up", "1 if the database answers in time", 1)
        yield _gauge("clock_skew_seconds", "The application's clock minus the database's", skew)
        yield from _of_the_journey(seen)
        yield from _of_the_work(seen)
        yield from _of_the_log(seen)
        yield from _of_the_targets(seen)
        yield from wings


REGISTRY = CollectorRegistry(auto_describe=False)
REGISTRY.register(Installation())


def text() -> bytes:
    """Return all metrics in Prometheus's text format 0.0.4."""
    return generate_latest(REGISTRY)

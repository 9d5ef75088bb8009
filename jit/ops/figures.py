"""The numbers behind `/metrics`, counted in the database: web and worker are many processes, and
what one of them remembers is not the truth.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from jit.audit import queries as audit

WINDOW = dt.timedelta(minutes=15)
"""How far back durations and recent events are looked at."""
TIMEOUT_MILLISECONDS = 2_000
QUANTILES = (0.5, 0.95, 0.99, 1.0)

# The audit log's index (action, at) finds what happened lately; the rows say how long it took.
_ELEVATION = """
SELECT count(*),
    percentile_disc('{0.5,0.95,0.99,1}'::float8[]) WITHIN GROUP (ORDER BY since_asked),
    percentile_disc('{0.5,0.95,0.99,1}'::float8[]) WITHIN GROUP (ORDER BY since_approved)
FROM (
    SELECT
        EXTRACT(EPOCH FROM g.starts_at - GREATEST(r.created_at, r.starts_at))::float8
            AS since_asked,
        EXTRACT(EPOCH FROM g.starts_at - GREATEST(r.closed_at, g.scheduled_for))::float8
            AS since_approved
    FROM audit_event e
    JOIN elevation_grant g ON g.id = e.grant_id
    JOIN elevation_elevationrequest r ON r.id = g.request_id
    WHERE e.action = 'grant.activated' AND e.at >= %(since)s AND g.starts_at IS NOT NULL
) AS took
"""
_REVOCATION = """
SELECT count(*), percentile_disc('{0.5,0.95,0.99,1}'::float8[]) WITHIN GROUP (ORDER BY seconds)
FROM (
    SELECT EXTRACT(EPOCH FROM g.revocation_verified_at
        - LEAST(g.ends_at, g.revoke_at, g.revoking_since))::float8 AS seconds
    FROM audit_event e
    JOIN elevation_grant g ON g.id = e.grant_id
    WHERE e.action = 'grant.ended' AND e.at >= %(since)s
        AND g.revocation_verified_at IS NOT NULL
) AS took
"""
_DECISION = """
SELECT count(*), percentile_disc('{0.5,0.95,0.99,1}'::float8[]) WITHIN GROUP (ORDER BY seconds)
FROM (
    SELECT EXTRACT(EPOCH FROM r.closed_at - r.created_at)::float8 AS seconds
    FROM audit_event e
    JOIN elevation_elevationrequest r ON r.id = e.request_id
    WHERE e.action IN ('request.approved', 'request.denied') AND e.at >= %(since)s
        AND NOT r.break_glass AND r.ruling ->> 'outcome' = 'needs_approval'
        AND r.closed_at IS NOT NULL
) AS took
"""
_OVERDUE = """
SELECT count(*) FILTER (WHERE due <= %(now)s),
    count(*) FILTER (WHERE revoking_since <= %(stuck)s),
    GREATEST(EXTRACT(EPOCH FROM (%(now)s - min(due)))::float8, 0)
FROM (
    SELECT LEAST(ends_at, revoke_at, revoking_since) AS due, revoking_since FROM elevation_grant
    WHERE state = 'REVOKING' OR (state = 'ACTIVE' AND (ends_at <= %(now)s OR revoke_at <= %(now)s))
) AS ending
"""
_DEPTH = """
SELECT 'activate', count(*) FROM elevation_grant
WHERE state IN ('SCHEDULED', 'ACTIVATING') AND next_try_at <= %(now)s AND scheduled_for <= %(now)s
UNION ALL
SELECT 'end', count(*) FROM elevation_grant
WHERE state = 'ACTIVE' AND (ends_at <= %(now)s OR revoke_at <= %(now)s)
UNION ALL
SELECT 'revoke', count(*) FROM elevation_grant
WHERE state = 'REVOKING' AND next_try_at <= %(now)s
UNION ALL
SELECT 'lapse', count(*) FROM elevation_elevationrequest
WHERE state = 'PENDING' AND lapses_at <= %(now)s
"""
_STATES = """
SELECT 'grant', state, count(*) FROM elevation_grant
WHERE state IN ('SCHEDULED', 'ACTIVATING', 'REVOKING') GROUP BY state
UNION ALL
SELECT 'grant', state, count(*) FROM elevation_grant WHERE state = 'ACTIVE' GROUP BY state
UNION ALL
SELECT 'request', state, count(*) FROM elevation_elevationrequest
WHERE state = 'PENDING' GROUP BY state
"""
_OPEN = """
SELECT (SELECT count(*) FROM elevation_orphan WHERE resolved_at IS NULL),
    (SELECT count(*) FROM elevation_afterreview WHERE state = 'OPEN' AND due_at <= %(now)s)
"""
_SWEEP = """
SELECT EXTRACT(EPOCH FROM %(now)s - at)::float8 FROM elevation_heartbeat WHERE work = 'sweep'
"""
_EVENTS = "SELECT action, count(*) FROM audit_event WHERE at >= %(since)s GROUP BY action"
_TARGETS = """
SELECT slug, (health ->> 'ok')::boolean, (health ->> 'skew_seconds')::float8,
    EXTRACT(EPOCH FROM (%(now)s - health_at))::float8
FROM catalog_target WHERE enabled AND health_at IS NOT NULL ORDER BY slug
"""


@dataclass(frozen=True, slots=True)
class Durations:
    """How many there were in the window, and the seconds at each of QUANTILES (empty if none)."""

    count: int
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TargetFigures:
    slug: str
    ok: bool
    skew_seconds: float | None
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the whole installation at `at`, by the database's clock."""

    at: dt.datetime
    from_request: Durations
    from_approval: Durations
    revocation: Durations
    decision: Durations
    overdue: int
    stuck: int
    oldest_overdue_seconds: float
    depth: Mapping[str, int]
    sweep_age_seconds: float | None
    grants: Mapping[str, int]
    requests: Mapping[str, int]
    orphans: int
    reviews_overdue: int
    sealing: audit.Lag
    strays: int
    events: Mapping[str, int]
    targets: tuple[TargetFigures, ...]


@contextmanager
def _bounded() -> Iterator[Any]:
    """Give a cursor whose statements end in time: a scrape must not pile up on a slow database."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MILLISECONDS}")
        yield cursor


def _durations(count: int, seconds: list[float] | None) -> Durations:
    """Two clocks may have written a row's two times: less than nothing is nothing."""
    return Durations(count, tuple(max(0.0, each) for each in seconds or ()))


def take() -> Figures:
    """Return the figures as they are now, with ten short queries on indexes."""
    with _bounded() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
        given = {
            "now": now,
            "since": now - WINDOW,
            "stuck": now - dt.timedelta(seconds=settings.STUCK_AFTER),
        }

        def rows(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query, given)
            return list(cursor.fetchall())

        ((elevated, from_request, from_approval),) = rows(_ELEVATION)
        ((revoked, lag),) = rows(_REVOCATION)
        ((decided, latency),) = rows(_DECISION)
        ((overdue, stuck, oldest),) = rows(_OVERDUE)
        ((orphans, reviews_overdue),) = rows(_OPEN)
        states = rows(_STATES)
        swept = rows(_SWEEP)
        return Figures(
            at=now,
            from_request=_durations(elevated, from_request),
            from_approval=_durations(elevated, from_approval),
            revocation=_durations(revoked, lag),
            decision=_durations(decided, latency),
            overdue=overdue,
            stuck=stuck,
            oldest_overdue_seconds=oldest or 0.0,
            depth=dict(rows(_DEPTH)),
            sweep_age_seconds=max(0.0, swept[0][0]) if swept else None,
            grants={state: count for kind, state, count in states if kind == "grant"},
            requests={state: count for kind, state, count in states if kind == "request"},
            orphans=orphans,
            reviews_overdue=reviews_overdue,
            sealing=audit.lag(now=now),
            strays=audit.strays(),
            events=dict(rows(_EVENTS)),
            targets=tuple(
                TargetFigures(slug, bool(ok), skew, age) for slug, ok, skew, age in rows(_TARGETS)
            ),
        )

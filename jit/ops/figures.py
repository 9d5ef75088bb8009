"""The numbers behind `/metrics`, counted in the database: web and worker are many processes, and
what one of them remembers is not the truth.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from jit.audit import queries as audit
from jit.kernel import db
from jit.ops.asking import Asking

WINDOW = dt.timedelta(minutes=15)
"""How far back durations and recent events are looked at."""
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
class Overdue:
    """Grants past their end and not yet gone, and those of them that need a person."""

    count: int
    stuck: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Elevations:
    """How long privilege took to work, since it was asked for and since it was approved."""

    from_request: Durations
    from_approval: Durations


@dataclass(frozen=True, slots=True)
class Figures:
    """One look at the whole installation at `at`, by the database's clock. None is a figure that
    the database did not give in its time.
    """

    at: dt.datetime
    overdue: Overdue | None
    sweep_age_seconds: float | None
    depth: Mapping[str, int] | None
    states: Mapping[tuple[str, str], int] | None
    elevations: Elevations | None
    revocation: Durations | None
    decision: Durations | None
    orphans: int | None
    reviews_overdue: int | None
    sealing: audit.Lag | None
    targets: tuple[TargetFigures, ...] | None
    events: Mapping[str, int] | None
    strays: int | None


def _durations(count: int, seconds: list[float] | None) -> Durations:
    """Two clocks may have written a row's two times: less than nothing is nothing."""
    return Durations(count, tuple(max(0.0, each) for each in seconds or ()))


def take(asking: Asking) -> Figures:
    """Return the figures as they are now, what matters most asked first, with short queries on
    indexes. Raises Django's database errors where the database does not even tell the time.
    """
    now = db.now()
    given = {
        "now": now,
        "since": now - WINDOW,
        "stuck": now - dt.timedelta(seconds=settings.STUCK_AFTER),
    }

    def rows(name: str, query: str) -> list[tuple[Any, ...]] | None:
        return asking.rows(name, query, given)

    overdue = rows("revocations_overdue", _OVERDUE)
    swept = rows("sweep_age", _SWEEP)
    depth = rows("sweep_depth", _DEPTH)
    states = rows("states", _STATES)
    elevated = rows("time_to_elevation", _ELEVATION)
    revoked = rows("revocation_lag", _REVOCATION)
    decided = rows("decision", _DECISION)
    unanswered = rows("unanswered", _OPEN)
    sealing = asking.figure("audit_sealing", lambda: audit.lag(now=now))
    targets = rows("targets", _TARGETS)
    return Figures(
        at=now,
        overdue=_overdue(*overdue[0]) if overdue else None,
        sweep_age_seconds=max(0.0, swept[0][0]) if swept else None,
        depth=None if depth is None else dict(depth),
        states=None if states is None else {(kind, name): count for kind, name, count in states},
        elevations=_elevations(*elevated[0]) if elevated else None,
        revocation=_durations(*revoked[0]) if revoked else None,
        decision=_durations(*decided[0]) if decided else None,
        orphans=unanswered[0][0] if unanswered else None,
        reviews_overdue=unanswered[0][1] if unanswered else None,
        sealing=sealing,
        targets=None if targets is None else tuple(_target(*target) for target in targets),
        events=None if (events := rows("recent_events", _EVENTS)) is None else dict(events),
        strays=asking.figure("audit_stray_events", audit.strays),
    )


def _overdue(count: int, stuck: int, oldest: float | None) -> Overdue:
    return Overdue(count, stuck, oldest or 0.0)


def _elevations(
    count: int, from_request: list[float] | None, from_approval: list[float] | None
) -> Elevations:
    return Elevations(_durations(count, from_request), _durations(count, from_approval))


def _target(slug: str, ok: object, skew: float | None, age: float) -> TargetFigures:
    return TargetFigures(slug, bool(ok), skew, age)

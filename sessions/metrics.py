"""The wing's part of `/metrics`: sessions, and above all recordings that need a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from django.db import connection, transaction
from prometheus_client.core import GaugeMetricFamily

from jit.kernel import db

_TIMEOUT_MS = 2_000
_LATELY = dt.timedelta(minutes=15)
_DAY = dt.timedelta(days=1)
_SESSIONS = """
SELECT state, count(*) FROM jit_sessions_accesssession
WHERE state IN ('OPENING', 'LIVE', 'CLOSED') GROUP BY state
"""
_TROUBLE = """
SELECT count(*) FILTER (WHERE standing = 'broken'),
    count(*) FILTER (WHERE standing = 'incomplete' AND head_at >= %(day)s),
    count(*) FILTER (WHERE standing = 'missing' AND head_at >= %(day)s),
    count(*) FILTER (WHERE set_aside <> '' AND stored_at IS NULL),
    count(*) FILTER (WHERE failed <> '' AND head_at >= %(lately)s)
FROM jit_sessions_recording
WHERE deleted_at IS NULL AND (standing IN ('broken', 'incomplete', 'missing') OR failed <> '')
"""
_WAITING = """
SELECT count(*), EXTRACT(EPOCH FROM (%(now)s - min(s.closed_at)))::float8
FROM jit_sessions_accesssession s JOIN jit_sessions_recording r ON r.session_id = s.id
WHERE r.stored_at IS NULL AND s.state IN ('CLOSED')
"""
_UNSEALED = """
SELECT EXTRACT(EPOCH FROM (%(now)s - min(closed_at)))::float8 FROM jit_sessions_accesssession
WHERE state = 'CLOSED'
"""
_VERIFIED = """
SELECT EXTRACT(EPOCH FROM (%(now)s - min(verified_at)))::float8 FROM jit_sessions_recording
WHERE stored_at IS NOT NULL AND deleted_at IS NULL
"""


def families() -> Iterator[GaugeMetricFamily]:
    """Yield the wing's gauges; raises Django's database errors."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {_TIMEOUT_MS}")
        now = db.now()
        cursor.execute(_SESSIONS)
        states = dict(cursor.fetchall())
        cursor.execute(_TROUBLE, {"lately": now - _LATELY, "day": now - _DAY})
        broken, incomplete, missing, aside, failed = cursor.fetchone()
        cursor.execute(_WAITING, {"now": now})
        waiting, oldest = cursor.fetchone()
        cursor.execute(_UNSEALED, {"now": now})
        (unsealed,) = cursor.fetchone()
        cursor.execute(_VERIFIED, {"now": now})
        (unverified,) = cursor.fetchone()
    sessions = GaugeMetricFamily(
        "jit_sessions", "Access sessions by state, without the sealed", labels=["state"]
    )
    for state in ("OPENING", "LIVE", "CLOSED"):
        sessions.add_metric([state], states.get(state, 0))
    yield sessions
    trouble = GaugeMetricFamily(
        "jit_recordings_in_trouble",
        "Recordings broken or set aside, or of the last day incomplete or missing",
        labels=["how"],
    )
    for how, count in {
        "broken": broken,
        "incomplete": incomplete,
        "missing": missing,
        "set-aside": aside,
    }.items():
        trouble.add_metric([how], count)
    yield trouble
    yield GaugeMetricFamily(
        "jit_recordings_failed", "Recordings that broke off in the last 15 minutes", value=failed
    )
    yield GaugeMetricFamily(
        "jit_recordings_not_stored", "Closed sessions whose recording is not stored", value=waiting
    )
    yield GaugeMetricFamily(
        "jit_oldest_recording_not_stored_seconds",
        "How long ago the first of those sessions closed",
        value=max(0.0, oldest or 0.0),
    )
    yield GaugeMetricFamily(
        "jit_oldest_session_unsealed_seconds",
        "How long ago the first of the sessions closed that are not sealed",
        value=max(0.0, unsealed or 0.0),
    )
    yield GaugeMetricFamily(
        "jit_oldest_recording_verified_seconds",
        "How long ago the recording that waits longest to be verified again was",
        value=max(0.0, unverified or 0.0),
    )

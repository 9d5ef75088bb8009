"""The wing's part of `/metrics`: sessions, and above all recordings that need a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily

from jit.kernel import db
from jit.ops.asking import Asking

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


def families(asking: Asking) -> Iterator[GaugeMetricFamily]:
    """Yield the wing's gauges, without those that the database does not give in their time."""
    now = db.now()
    given = {"now": now, "lately": now - _LATELY, "day": now - _DAY}
    states = asking.rows("sessions", _SESSIONS, given)
    if states is not None:
        yield _of_states(dict(states))
    for row in asking.rows("recordings_in_trouble", _TROUBLE, given) or ():
        yield from _of_trouble(*row)
    for waiting, oldest in asking.rows("recordings_not_stored", _WAITING, given) or ():
        yield GaugeMetricFamily(
            "jit_recordings_not_stored",
            "Closed sessions whose recording is not stored",
            value=waiting,
        )
        yield _age(
            "jit_oldest_recording_not_stored_seconds",
            "How long ago the first of those sessions closed",
            oldest,
        )
    for (unsealed,) in asking.rows("sessions_unsealed", _UNSEALED, given) or ():
        yield _age(
            "jit_oldest_session_unsealed_seconds",
            "How long ago the first of the sessions closed that are not sealed",
            unsealed,
        )
    for (unverified,) in asking.rows("recordings_verified", _VERIFIED, given) or ():
        yield _age(
            "jit_oldest_recording_verified_seconds",
            "How long ago the recording that waits longest to be verified again was",
            unverified,
        )


def _age(name: str, told: str, seconds: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, told, value=max(0.0, seconds or 0.0))


def _of_states(counts: Mapping[str, int]) -> GaugeMetricFamily:
    sessions = GaugeMetricFamily(
        "jit_sessions", "Access sessions by state, without the sealed", labels=["state"]
    )
    for state in ("OPENING", "LIVE", "CLOSED"):
        sessions.add_metric([state], counts.get(state, 0))
    return sessions


def _of_trouble(
    broken: int, incomplete: int, missing: int, aside: int, failed: int
) -> Iterator[GaugeMetricFamily]:
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

"""What Prometheus hears of sessions and recordings."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jit.kernel import clock
from jit.ops import metrics
from sessions import health
from sessions.models import AccessSession
from sessions.recording.models import Recording
from tests.sessions import used

pytestmark = pytest.mark.django_db


def samples() -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


class TestFamilies:
    def test_of_quiet_gateways(self, world: Any) -> None:
        seen = samples()
        assert seen["jit_sessions", "LIVE"] == 0
        assert seen["jit_recordings_in_trouble", "broken"] == 0
        assert seen["jit_oldest_recording_not_stored_seconds",] == 0
        assert seen["jit_oldest_recording_verified_seconds",] == 0

    def test_of_trouble(self, world: Any) -> None:
        grant = world.grant()
        used.opened(grant)
        for how in ({"standing": "broken"}, {"set_aside": "refused"}, {"failed": "disk full"}):
            made = used.closed(used.opened(grant))
            Recording.objects.create(
                session=made, began_at=clock.now(), preamble=b"", digest="", head_at=clock.now(),
                **{"standing": "incomplete", **how},
            )  # fmt: skip
        a_week = clock.now() - dt.timedelta(days=7)
        Recording.objects.filter(standing="broken").update(stored_at=a_week, verified_at=a_week)
        seen = samples()
        assert seen["jit_oldest_recording_verified_seconds",] >= 7 * 86400
        assert seen["jit_sessions", "LIVE"] == 1
        assert seen["jit_sessions", "CLOSED"] == 3
        assert seen["jit_recordings_in_trouble", "broken"] == 1
        assert seen["jit_recordings_in_trouble", "set-aside"] == 1
        assert seen["jit_recordings_in_trouble", "incomplete"] == 2
        assert seen["jit_recordings_failed",] == 1
        assert seen["jit_recordings_not_stored",] == 2
        assert seen["jit_oldest_recording_not_stored_seconds",] > 0
        assert seen["jit_oldest_session_unsealed_seconds",] > 0


class TestReadiness:
    def test_tells_of_a_session_that_waits_long_for_its_seal(self, world: Any) -> None:
        assert health.sealing() == (True, "every closed session is sealed")
        made = used.closed(used.opened(world.grant()))
        assert health.sealing()[0]
        AccessSession.objects.filter(pk=made.pk).update(
            closed_at=clock.now() - dt.timedelta(seconds=health.MOST_UNSEALED_SECONDS + 5)
        )
        ok, told = health.sealing()
        assert not ok
        assert told.startswith("1 closed sessions are not sealed, the oldest for 30")

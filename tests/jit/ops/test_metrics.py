"""The text that Prometheus reads."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.utils import OperationalError
from kombu import Queue
from prometheus_client.parser import text_string_to_metric_families

from jit.catalog.models import Target
from jit.ops import asking, figures, metrics
from tests.jit.ops.conftest import happened, seconds

pytestmark = pytest.mark.django_db


def samples() -> dict[tuple[str, ...], float]:
    """Return the samples of a scrape, by name and label values, as Prometheus's parser reads it."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


class TestText:
    def test_of_a_quiet_installation(self) -> None:
        seen = samples()
        assert seen["jit_database_up",] == 1
        assert seen["jit_broker_up",] == 1
        assert seen["jit_revocations_overdue",] == 0
        assert seen["jit_revocations_stuck",] == 0
        assert seen["jit_grants", "ACTIVE"] == 0
        assert seen["jit_sweep_depth", "revoke"] == 0
        assert abs(seen["jit_clock_skew_seconds",]) < 2
        assert not any(name == "jit_time_to_elevation_seconds" for name, *_ in seen)

    def test_of_a_busy_one(self, granted, requested, now, settings) -> None:
        active = granted("ACTIVE", starts_at=now - seconds(30))
        happened("grant.activated", active, now)
        ended = granted(
            "ENDED", ends_at=now - seconds(4), revocation_verified_at=now, end_reason="expired"
        )
        happened("grant.ended", ended, now)
        happened("request.denied", requested(state="DENIED", closed_at=now), now)
        happened("user.sign-in-failed", requested(), now)
        granted("REVOKING", revoking_since=now - seconds(settings.STUCK_AFTER + 5))
        Target.objects.update(health={"ok": True, "skew_seconds": -0.25}, health_at=now)
        seen = samples()
        assert seen["jit_time_to_elevation_seconds", "0.95", "request"] == pytest.approx(30)
        assert seen["jit_time_to_elevation_seconds", "0.95", "approval"] == pytest.approx(10)
        assert seen["jit_revocation_lag_seconds", "1"] == pytest.approx(4)
        assert seen["jit_decision_seconds", "0.5"] == pytest.approx(60)
        assert seen["jit_recent", "elevations"] == 1
        assert seen["jit_recent_events", "user.sign-in-failed"] == 1
        assert seen["jit_revocations_stuck",] == 1
        assert seen["jit_oldest_overdue_revocation_seconds",] > settings.STUCK_AFTER
        assert seen["jit_target_up", "orders-db"] == 1
        assert seen["jit_target_clock_skew_seconds", "orders-db"] == -0.25

    def test_of_a_sealer_that_lags(self, lagging) -> None:
        seen = samples()
        assert seen["jit_audit_unsealed_events",] == 3
        assert seen["jit_audit_sealing_lag_seconds",] == 61
        assert seen["jit_audit_checkpoint_age_seconds",] == 61.5

    def test_one_slow_figure_hides_no_other(self, granted, now, settings, monkeypatch) -> None:
        """A count over years of history once hid the stuck revocations, and said that the
        database was down.
        """
        granted("REVOKING", revoking_since=now - seconds(settings.STUCK_AFTER + 5))
        monkeypatch.setattr(asking, "EACH_MILLISECONDS", 200)
        for slow in ("_EVENTS", "_ELEVATION"):
            monkeypatch.setattr(figures, slow, "SELECT pg_sleep(30), 1, 2")
        seen = samples()
        assert seen["jit_database_up",] == 1
        assert seen["jit_revocations_stuck",] == 1
        assert seen["jit_sessions", "LIVE"] == 0
        assert seen["jit_figure_missing", "recent_events"] == 1
        assert seen["jit_figure_missing", "time_to_elevation"] == 1
        assert ("jit_recent", "elevations") not in seen
        assert seen["jit_recent", "revocations"] == 0

    def test_what_there_is_no_time_for_is_told_as_missing(self, monkeypatch) -> None:
        monkeypatch.setattr(asking, "ALL_SECONDS", -1)
        seen = samples()
        assert seen["jit_database_up",] == 1
        assert seen["jit_figure_missing", "revocations_overdue"] == 1
        assert ("jit_revocations_stuck",) not in seen

    def test_tells_that_the_database_is_away(self, monkeypatch) -> None:
        def cursor() -> None:
            raise OperationalError("no route")

        monkeypatch.setattr(connection, "cursor", cursor)
        seen = samples()
        assert seen["jit_database_up",] == 0
        assert seen["jit_broker_up",] == 1
        assert ("jit_revocations_stuck",) not in seen

    def test_tells_that_the_broker_is_away(self, settings) -> None:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        seen = samples()
        assert seen["jit_broker_up",] == 0
        assert ("jit_queue_depth", "jit") not in seen
        assert seen["jit_database_up",] == 1

    def test_counts_what_waits_in_each_queue(self, settings) -> None:
        import redis

        settings.CELERY_TASK_QUEUES = [Queue("test-metrics"), Queue("test-idle")]
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            client.rpush("test-metrics", "a", "b")
            try:
                seen = samples()
                assert seen["jit_queue_depth", "test-metrics"] == 2
                assert seen["jit_queue_depth", "test-idle"] == 0
            finally:
                client.delete("test-metrics")

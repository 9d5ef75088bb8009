"""Whether this process can serve."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.db.utils import OperationalError

from jit.catalog.models import Target
from jit.elevation import operations as elevation
from jit.elevation.models import Heartbeat
from jit.kernel import db as database
from jit.ops import health

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _swept(db) -> None:
    elevation.note_heartbeat(work=elevation.SWEEP, now=database.now())


def by_name(report: health.Report) -> dict[str, health.Check]:
    return {check.name: check for check in report.checks}


class TestExamine:
    def test_all_is_well(self) -> None:
        report = health.examine()
        assert report.status == "ok"
        assert list(by_name(report)) == [
            "database",
            "migrations",
            "clock",
            "broker",
            "sweep",
            "sealing",
            "targets",
            "gateways",
            "sessions",
        ]
        assert "jit_app" in by_name(report)["database"].detail

    @pytest.mark.parametrize(("skew", "status"), [(1.9, "ok"), (2.1, "failing"), (-2.1, "failing")])
    def test_a_clock_that_jumped_is_failing(self, monkeypatch, skew, status) -> None:
        real = database.now
        monkeypatch.setattr(health.db, "now", lambda: real() - dt.timedelta(seconds=skew))
        report = health.examine()
        assert report.status == status
        assert by_name(report)["clock"].ok is (status == "ok")

    def test_a_broker_that_is_away_degrades_only(self, settings) -> None:
        settings.REDIS_URL = "redis://:hunter2@127.0.0.1:1/0"
        report = health.examine()
        assert report.status == "degraded"
        assert not by_name(report)["broker"].ok
        assert "hunter2" not in str(report.as_json())

    def test_a_missing_migration_is_failing(self, monkeypatch) -> None:
        monkeypatch.setattr(health.migrations, "done", False)
        monkeypatch.setattr(
            health.MigrationExecutor, "migration_plan", lambda _self, _targets: [object(), object()]
        )
        report = health.examine()
        assert report.status == "failing"
        assert "2 are missing" in by_name(report)["migrations"].detail

    def test_asks_for_migrations_until_they_are_there(self, monkeypatch) -> None:
        monkeypatch.setattr(health.migrations, "done", False)
        assert by_name(health.examine())["migrations"].ok
        monkeypatch.delattr(health.MigrationExecutor, "migration_plan")
        assert by_name(health.examine())["migrations"].ok

    def test_a_sealer_that_lags_degrades_only(self, lagging) -> None:
        report = health.examine()
        assert report.status == "degraded"
        assert "3 events unsealed, the oldest for 61 s" in by_name(report)["sealing"].detail

    @pytest.mark.parametrize(("age", "ok"), [(9, True), (11, False)])
    def test_a_sweep_that_is_long_past_is_told(self, age, ok) -> None:
        Heartbeat.objects.update(at=database.now() - dt.timedelta(seconds=age))
        report = health.examine()
        assert by_name(report)["sweep"].ok is ok
        assert report.status == ("ok" if ok else "degraded")

    def test_a_sweep_that_never_ran_is_told(self) -> None:
        Heartbeat.objects.all().delete()
        assert "never ran" in by_name(health.examine())["sweep"].detail

    def test_an_ill_target_degrades_only(self, role) -> None:
        Target.objects.update(health={"ok": False})
        report = health.examine()
        assert report.status == "degraded"
        assert by_name(report)["targets"].detail == "not ok: orders-db"

    def test_a_database_that_is_away_is_failing_and_asked_once(self, monkeypatch) -> None:
        asked: list[int] = []

        def cursor() -> None:
            asked.append(1)
            raise OperationalError("password=hunter2")

        monkeypatch.setattr(connection, "cursor", cursor)
        report = health.examine()
        assert report.status == "failing"
        assert len(asked) == 1
        assert by_name(report)["broker"].ok
        assert "hunter2" not in str(report.as_json())

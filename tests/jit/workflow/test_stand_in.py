"""When nobody sweeps, whoever ticks the clock ends what is overdue."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest

from jit.elevation.models import Grant
from jit.kernel import clock
from jit.workflow import stand_in


class TestEndOverdue:
    def test_ends_what_lay_about_too_long(
        self, world: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        grant = world.grant()
        world.due(grant, ago=stand_in.PATIENCE.total_seconds() + 1)
        with caplog.at_level(logging.ERROR, "jit.workflow.stand_in"):
            assert stand_in.end_overdue() == 1
        assert "is the broker gone" in caplog.text
        grant.refresh_from_db()
        assert grant.state == "ENDED"
        assert grant.external_name not in world.roles_on_target()

    def test_leaves_what_is_just_due_to_the_workers(self, world: Any) -> None:
        grant = world.grant()
        world.due(grant, ago=0.5)
        assert stand_in.end_overdue() == 0
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"

    def test_leaves_what_a_worker_holds(self, world: Any) -> None:
        grant = world.grant()
        world.due(grant, ago=10)
        held = clock.now() + dt.timedelta(seconds=30)
        Grant.objects.filter(pk=grant.pk).update(lease_until=held)
        assert stand_in.end_overdue() == 0


class TestStandIn:
    def test_looks_in_a_thread_and_survives_a_failure(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> int:
            raise RuntimeError("no database")

        monkeypatch.setattr(stand_in, "end_overdue", fail)
        it = stand_in.StandIn()
        it.look()
        it.finish()
        assert "could not look for overdue revocations" in caplog.text

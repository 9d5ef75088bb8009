"""When nobody sweeps, whoever ticks the clock ends what is overdue."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from jit.elevation.models import Grant
from jit.identity.models import User
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

    def test_ends_what_somebody_who_left_still_holds(self, world: Any) -> None:
        """With the broker away and nothing else overdue, they once kept it until it ran out."""
        grant = world.grant()
        User.objects.filter(pk=grant.user_id).update(is_active=False, disabled_at=clock.now())
        assert stand_in.end_overdue() == 0, "first the workers"
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("REVOKING", "requester-left")
        long_ago = clock.now() - stand_in.PATIENCE - dt.timedelta(seconds=1)
        Grant.objects.filter(pk=grant.pk).update(next_try_at=long_ago)
        assert stand_in.end_overdue() == 1
        assert grant.external_name not in world.roles_on_target()


@pytest.fixture
def stander(monkeypatch: pytest.MonkeyPatch) -> Iterator[stand_in.StandIn]:
    monkeypatch.setattr(stand_in, "LOOK_EVERY", 0.01)
    it = stand_in.StandIn()
    yield it
    it.finish()


class TestStandIn:
    def test_looks_again_and_again_whatever_fails(
        self,
        stander: stand_in.StandIn,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        looks = threading.Semaphore(0)

        def fail() -> int:
            looks.release()
            raise RuntimeError("no database")

        monkeypatch.setattr(stand_in, "end_overdue", fail)
        stander.begin()
        for _ in range(3):
            assert looks.acquire(timeout=10)
        assert "could not look for overdue revocations" in caplog.text

    def test_looks_in_one_thread(
        self, stander: stand_in.StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: set[int] = set()
        looks = threading.Semaphore(0)

        def look() -> int:
            threads.add(threading.get_ident())
            looks.release()
            return 0

        monkeypatch.setattr(stand_in, "end_overdue", look)
        stander.begin()
        stander.begin()
        for _ in range(3):
            assert looks.acquire(timeout=10)
        assert len(threads) == 1

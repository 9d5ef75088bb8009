"""What the metrics count."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jit.catalog.models import Target
from jit.elevation import operations as elevation
from jit.elevation.models import AfterReview, Orphan
from jit.ops import figures
from jit.ops.asking import Asking
from tests.jit.ops.conftest import happened, seconds


def taken() -> figures.Figures:
    """Return the figures, none of which may be missing."""
    asking = Asking()
    seen = figures.take(asking)
    assert asking.missing == []
    return seen


class TestTake:
    def test_of_an_empty_installation(self, db) -> None:
        seen = taken()
        assert (seen.elevations.from_request.count, seen.elevations.from_request.seconds) == (0, ())
        assert seen.overdue == figures.Overdue(0, 0, 0.0)
        assert seen.depth == {"activate": 0, "end": 0, "revoke": 0, "lapse": 0}
        assert seen.targets == ()

    def test_asks_few_questions(self, db) -> None:
        with CaptureQueriesContext(connection) as asked:
            taken()
        questions = [
            each for each in asked if each["sql"].startswith(("SELECT", "WITH", "\nSELECT"))
        ]
        assert len(questions) <= 16

    def test_how_long_elevations_took(self, granted, now) -> None:
        for took in (1, 2, 9):
            grant = granted(
                "ACTIVE",
                request={"created_at": now - seconds(60), "closed_at": now - seconds(40)},
                starts_at=now - seconds(40 - took),
            )
            happened("grant.activated", grant, now)
        seen = taken()
        assert seen.elevations.from_request.count == 3
        assert seen.elevations.from_request.seconds == pytest.approx((22, 29, 29, 29))
        assert seen.elevations.from_approval.seconds == pytest.approx((2, 9, 9, 9))

    def test_a_planned_start_is_no_delay(self, granted, now) -> None:
        grant = granted(
            "ACTIVE",
            request={"created_at": now - seconds(9000), "starts_at": now - seconds(3)},
            scheduled_for=now - seconds(3),
            starts_at=now,
        )
        happened("grant.activated", grant, now)
        seen = taken()
        assert seen.elevations.from_request.seconds[0] == pytest.approx(3)
        assert seen.elevations.from_approval.seconds[0] == pytest.approx(3)

    def test_leaves_out_what_is_long_past(self, granted, now) -> None:
        happened("grant.activated", granted("ACTIVE"), now - figures.WINDOW - seconds(1))
        assert taken().elevations.from_request.count == 0

    @pytest.mark.parametrize(
        ("ended", "lag"),
        [
            ({"ends_at": -10, "revoking_since": -9}, 10),
            ({"ends_at": 300, "revoking_since": -5}, 5),
            ({"ends_at": 300, "revoke_at": -7, "revoking_since": -6}, 7),
        ],
    )
    def test_how_late_revocations_were_proven(self, granted, now, ended, lag) -> None:
        times = {name: now + seconds(offset) for name, offset in ended.items()}
        grant = granted("ENDED", revocation_verified_at=now, end_reason="expired", **times)
        happened("grant.ended", grant, now)
        assert taken().revocation.seconds == pytest.approx((lag,) * 4)

    def test_how_long_people_took_to_decide(self, requested, now) -> None:
        happened("request.approved", requested(), now)
        happened("request.denied", requested(state="DENIED", closed_at=now), now)
        happened("request.approved", requested(ruling={"outcome": "auto"}), now)
        happened("request.approved", requested(break_glass=True), now)
        seen = taken().decision
        assert (seen.count, seen.seconds) == (2, pytest.approx((20, 60, 60, 60)))

    def test_what_is_overdue_and_what_is_stuck(self, granted, now, settings) -> None:
        granted("ACTIVE")
        granted("ACTIVE", ends_at=now - seconds(1))
        granted("REVOKING", ends_at=now - seconds(10), revoking_since=now - seconds(9))
        stuck = seconds(settings.STUCK_AFTER + 1)
        granted("REVOKING", ends_at=now + seconds(500), revoking_since=now - stuck)
        seen = taken()
        assert (seen.overdue.count, seen.overdue.stuck) == (3, 1)
        assert seen.overdue.oldest_seconds == pytest.approx(stuck.total_seconds(), abs=2)

    def test_what_the_sweep_has_before_it(self, granted, requested, now) -> None:
        due = now - seconds(1)
        granted("SCHEDULED", next_try_at=due)
        granted("SCHEDULED", next_try_at=now + seconds(60))
        granted("SCHEDULED", next_try_at=due, scheduled_for=now + seconds(60))
        granted("ACTIVATING", next_try_at=due)
        granted("ACTIVE", revoke_at=due)
        granted("REVOKING", revoking_since=due, next_try_at=due)
        granted("REVOKING", revoking_since=due, next_try_at=now + seconds(60))
        requested(state="PENDING", lapses_at=due)
        seen = taken()
        assert seen.depth == {"activate": 2, "end": 1, "revoke": 1, "lapse": 1}
        assert seen.states == {
            ("grant", "SCHEDULED"): 3,
            ("grant", "ACTIVATING"): 1,
            ("grant", "ACTIVE"): 1,
            ("grant", "REVOKING"): 2,
            ("request", "PENDING"): 1,
        }

    def test_when_it_was_last_swept(self, now) -> None:
        assert taken().sweep_age_seconds is None
        elevation.note_heartbeat(work=elevation.SWEEP, now=now - seconds(30))
        elevation.note_heartbeat(work=elevation.SWEEP, now=now - seconds(12))
        assert taken().sweep_age_seconds == pytest.approx(12, abs=2)

    def test_what_nobody_has_answered(self, requested, role, now) -> None:
        Orphan.objects.create(target=role.target, external_name="jit_x", found_at=now)
        Orphan.objects.create(
            target=role.target, external_name="jit_y", found_at=now, resolved_at=now
        )
        for due_at in (now - seconds(1), now + seconds(60)):
            AfterReview.objects.create(request=requested(), created_at=now, due_at=due_at)
        seen = taken()
        assert (seen.orphans, seen.reviews_overdue) == (1, 1)

    def test_events_by_their_kind(self, requested, now) -> None:
        happened("user.sign-in-failed", requested(), now)
        happened("user.sign-in-failed", requested(), now)
        happened("user.signed-in", requested(), now - figures.WINDOW - seconds(1))
        seen = taken()
        assert seen.events == {"user.sign-in-failed": 2}

    def test_how_far_the_sealer_is_behind(self, db, lagging) -> None:
        assert taken().sealing.waiting == 3

    def test_targets_as_last_seen(self, role, now) -> None:
        Target.objects.create(slug="never-asked", name="x", kind="postgresql")
        Target.objects.filter(slug="orders-db").update(
            health={"ok": False, "skew_seconds": 0.5}, health_at=now - seconds(30)
        )
        (target,) = taken().targets
        assert (target.slug, target.ok, target.skew_seconds) == ("orders-db", False, 0.5)
        assert target.age_seconds == pytest.approx(30, abs=2)

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from approvals.models import Step
from jit.audit import queries as audit
from jit.audit.actions import Action
from jit.audit.models import AuditEvent
from jit.elevation import queries
from jit.elevation.models import AfterReview, ElevationRequest, Grant
from jit.identity.step_up import StepUpRequired
from jit.kernel import clock
from jit.tickets.adapters.base import TicketNotFound
from jit.workflow import activate, break_glass, submit
from tests.support.world import READER, WRITER, World


def use(world: World, name: str = "rita", **more: Any) -> ElevationRequest:
    ask = {
        "role": WRITER,
        "ticket": world.tickets["sev1"],
        "justification": "Everything burns and nobody answers.",
        "duration_seconds": 600,
    }
    now = clock.now()
    factor = more.pop("second_factor_at", now)
    promise = more.pop("promise_ticket", False)
    return break_glass.use(
        requester=world.user(name),
        ask=submit.Ask(**(ask | more)),
        promise_ticket=promise,
        second_factor_at=factor,
        actor=world.actor(name),
        now=now,
    )


def answer(
    world: World, row: AfterReview, name: str, *, flag: bool = False, comment: str = ""
) -> Any:
    return break_glass.review(
        review_id=row.pk,
        reviewer=world.user(name),
        flag=flag,
        comment=comment,
        actor=world.actor(name),
        now=clock.now(),
    )


class TestUse:
    def test_elevates_at_once_and_owes_a_review(self, world: World) -> None:
        request = use(world)
        assert (request.state, request.break_glass) == ("APPROVED", True)
        grant = Grant.objects.get(request=request)
        activate.activate(grant_id=grant.pk)
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        review = AfterReview.objects.get(request=request)
        assert review.due_at - review.created_at == dt.timedelta(hours=24)

    def test_tells_every_skipped_approver(self, world: World) -> None:
        request = use(world)
        event = AuditEvent.objects.get(action="break-glass.used", request_id=request.pk)
        assert event.content["body"]["skipped"] == ["group:payments-leads", "group:sre-managers"]
        for name in ("ada", "bo", "olga"):
            assert list(queries.reviews_visible_to(world.user(name))) == [request.after_review]
        assert not queries.reviews_visible_to(world.user("otto")).exists()

    @pytest.mark.parametrize("age", [None, dt.timedelta(minutes=6)])
    def test_takes_a_fresh_second_factor(self, world: World, age: dt.timedelta | None) -> None:
        with pytest.raises(StepUpRequired):
            use(world, second_factor_at=age and clock.now() - age)
        assert not ElevationRequest.objects.exists()

    def test_is_for_whom_the_policy_says(self, world: World) -> None:
        for name, role in (("ada", WRITER), ("otto", WRITER), ("rita", READER)):
            with pytest.raises(break_glass.BreakGlassNotAllowed):
                use(world, name, role=role)
        assert not Grant.objects.exists()

    def test_is_short(self, world: World) -> None:
        with pytest.raises(submit.DurationTooLong, match="900"):
            use(world, duration_seconds=901)

    def test_takes_a_real_ticket_or_the_promise_of_one(self, world: World) -> None:
        with pytest.raises(TicketNotFound):
            use(world, ticket="OPS-999999")
        request = use(world, ticket="", promise_ticket=True)
        assert request.ticket["promised"]
        filed = break_glass.file_ticket(
            request_id=request.pk,
            user=world.user("rita"),
            reference=world.tickets["sev1"],
            actor=world.actor("rita"),
            now=clock.now(),
        )
        assert filed.ticket_key == world.tickets["sev1"]

    def test_ones_own_pending_request_is_no_obstacle(self, world: World) -> None:
        """Asked, and nobody answers: that is what the glass is for."""
        waiting = world.ask()
        request = use(world)
        waiting.refresh_from_db()
        assert (request.state, waiting.state) == ("APPROVED", "WITHDRAWN")
        why = audit.why(waiting.pk, Action.REQUEST_WITHDRAWN)
        assert why == break_glass.SUPERSEDED
        used = AuditEvent.objects.get(action="break-glass.used", request_id=request.pk)
        assert used.content["body"]["supersedes"] == str(waiting.pk)
        assert not Step.objects.filter(chain__request=waiting, state="OPEN").exists()

    def test_a_refused_one_leaves_what_waits_as_it_is(self, world: World) -> None:
        waiting = world.ask()
        with pytest.raises(submit.DurationTooLong):
            use(world, duration_seconds=901)
        waiting.refresh_from_db()
        assert waiting.state == "PENDING"

    def test_what_is_held_already_is_not_taken_again(self, world: World) -> None:
        world.grant()
        with pytest.raises(submit.AlreadyElevated):
            use(world)

    def test_ones_own_scheduled_grant_is_no_obstacle(self, world: World) -> None:
        """It was refused: who had planned for the evening could not break the glass at noon."""
        starts_at = clock.now() + dt.timedelta(hours=3)
        planned = world.ask(starts_at=starts_at)
        world.decide("ada", planned)
        request = use(world)
        old, new = Grant.objects.get(request=planned), Grant.objects.get(request=request)
        assert (old.state, old.end_reason) == ("WITHDRAWN", "returned")
        assert (old.end_comment, new.state) == (break_glass.SUPERSEDED, "SCHEDULED")
        used = AuditEvent.objects.get(action="break-glass.used", request_id=request.pk)
        assert used.content["body"]["supersedes"] == str(planned.pk)
        with pytest.raises(submit.AlreadyElevated):
            world.ask()

    def test_an_overdue_review_blocks_the_next_one(self, world: World) -> None:
        review = use(world).after_review
        AfterReview.objects.filter(pk=review.pk).update(
            due_at=clock.now() - dt.timedelta(seconds=1)
        )
        with pytest.raises(break_glass.ReviewOwed, match="sre-managers"):
            use(world, role="orders-db-admin")
        answer(world, review, "ada")
        assert use(world, role="orders-db-admin").state == "APPROVED"


class TestReview:
    def test_is_not_answered_by_who_broke_the_glass(self, world: World) -> None:
        with pytest.raises(break_glass.NotAReviewer):
            answer(world, use(world).after_review, "rita")

    def test_is_not_answered_by_an_auditor(self, world: World) -> None:
        with pytest.raises(break_glass.NotAReviewer):
            answer(world, use(world).after_review, "udo")

    def test_a_stranger_does_not_even_see_it(self, world: World) -> None:
        with pytest.raises(queries.UnknownReview):
            answer(world, use(world).after_review, "otto")

    def test_a_flag_says_what_was_wrong(self, world: World) -> None:
        review = use(world).after_review
        with pytest.raises(break_glass.ReasonRequired):
            answer(world, review, "olga", flag=True)
        assert (
            answer(world, review, "olga", flag=True, comment="Not an incident.").state == "FLAGGED"
        )

    def test_is_answered_once(self, world: World) -> None:
        review = use(world).after_review
        answer(world, review, "olga")
        with pytest.raises(break_glass.ReviewClosed):
            answer(world, review, "ada")

    def test_unanswered_is_escalated_once(self, world: World) -> None:
        review = use(world).after_review
        assert break_glass.escalate_overdue() == 0
        AfterReview.objects.filter(pk=review.pk).update(due_at=clock.now())
        assert break_glass.escalate_overdue() == 1
        assert break_glass.escalate_overdue() == 0
        assert AuditEvent.objects.filter(action="review.escalated").count() == 1

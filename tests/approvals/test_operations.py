from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from approvals import operations, queries, rules
from approvals.models import Chain, Step
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import Group
from jit.identity.step_up import StepUpRequired
from jit.kernel import clock
from jit.kernel.actor import Channel
from jit.workflow import lapse
from tests.support import people
from tests.support.world import ADMIN, READER, WRITER, World

ADA_MAY_NOT = "ada"


def actions(request: ElevationRequest) -> list[str]:
    rows = AuditEvent.objects.filter(request_id=request.pk).order_by("seq")
    return [row.action for row in rows]


class TestDecide:
    def test_the_last_voice_approves_and_makes_one_grant(self, world: World) -> None:
        request = world.ask()
        outcome = world.decide("ada", request)
        request.refresh_from_db()
        assert not outcome.repeated
        assert request.state == "APPROVED"
        assert Grant.objects.filter(request=request, state="SCHEDULED").count() == 1
        assert {"decision.made", "step.approved", "chain.approved", "request.approved"} <= set(
            actions(request)
        )

    def test_an_admin_request_needs_two_distinct_people_in_order(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        with pytest.raises(rules.NotAnApprover, match="payments-leads"):
            world.decide("olga", request)
        world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "PENDING"
        world.decide("olga", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_a_requester_never_decides_on_their_own_request(self, world: World) -> None:
        request = world.ask()
        identity.add_member(
            group=Group.objects.get(slug="payments-leads"),
            user=world.user("rita"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        with pytest.raises(rules.SelfApproval, match="another approver"):
            world.decide("rita", request)
        assert "decision.refused" in actions(request)

    def test_a_click_after_the_lapse_hears_of_it(self, world: World) -> None:
        request = world.ask()
        ElevationRequest.objects.filter(pk=request.pk).update(
            lapses_at=clock.now() - dt.timedelta(seconds=1)
        )
        with pytest.raises(rules.RequestLapsed):
            world.decide("ada", request)
        assert lapse.lapse_due() == 1
        with pytest.raises(rules.RequestLapsed):
            world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "LAPSED"
        assert Chain.objects.get(request=request).state == "CANCELLED"

    def test_changing_ones_mind_in_the_same_step_is_refused(self, world: World) -> None:
        request = world.ask()
        Step.objects.filter(chain=request.chain).update(quorum=2)
        world.decide("ada", request)
        with pytest.raises(rules.AlreadyDecided, match="first word"):
            world.decide("ada", request, "deny", comment="On second thought.")

    def test_a_policy_that_wants_more_than_a_click_gets_it(self, world: World) -> None:
        request = world.ask()
        ruling = request.ruling | {"obligations": {"approval_strength": "web_phishing_resistant"}}
        ElevationRequest.objects.filter(pk=request.pk).update(ruling=ruling)
        with pytest.raises(StepUpRequired, match="otp"):
            world.decide("ada", request)
        with pytest.raises(operations.ChannelTooWeak, match="web"):
            operations.decide(
                request_id=request.pk,
                approver=world.user("ada"),
                verdict=operations.Verdict.APPROVE,
                comment="",
                duration_seconds=None,
                second_factor=True,
                actor=world.actor("ada", Channel.SLACK),
                now=clock.now(),
            )
        world.decide("ada", request, second_factor=True)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_a_denial_is_welcome_by_a_weaker_channel(self, world: World) -> None:
        request = world.ask()
        ruling = request.ruling | {"obligations": {"approval_strength": "web_phishing_resistant"}}
        ElevationRequest.objects.filter(pk=request.pk).update(ruling=ruling)
        world.decide("ada", request, "deny", comment="No.")
        request.refresh_from_db()
        assert request.state == "DENIED"


class TestOpenChain:
    def test_the_clock_of_a_step_starts_when_it_opens(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        later = clock.now() + dt.timedelta(minutes=30)
        world.decide("ada", request, now=later)
        request.refresh_from_db()
        assert request.lapses_at == later + dt.timedelta(hours=1)


class TestInbox:
    def test_shows_what_waits_for_me_and_nothing_else(self, world: World) -> None:
        request = world.ask(role=ADMIN)

        def inbox(name: str) -> list[Any]:
            return list(queries.inbox(world.user(name)).values_list("pk", flat=True))

        assert inbox("ada") == [request.pk]
        assert inbox("olga") == []
        assert inbox("rita") == []
        assert inbox("otto") == []
        world.decide("ada", request)
        assert inbox("ada") == []
        assert inbox("bo") == []
        assert inbox("olga") == [request.pk]

    def test_is_sorted_by_deadline(self, world: World) -> None:
        later = world.ask()
        ElevationRequest.objects.filter(pk=later.pk).update(
            lapses_at=clock.now() + dt.timedelta(days=1)
        )
        sooner = world.ask(role=ADMIN)
        found = [row.pk for row in queries.inbox(world.user("ada"))]
        assert found == [sooner.pk, later.pk]


class TestDescribe:
    def test_takes_two_statements_for_any_number(
        self, world: World, django_assert_num_queries: Any
    ) -> None:
        rows = [world.ask(), world.ask(role=ADMIN)]
        with django_assert_num_queries(2):
            found = queries.describe(rows)
        assert found[rows[0].pk].steps[0].candidates == ("ada", "bo")
        assert [step.state for step in found[rows[1].pk].steps] == ["OPEN", "WAITING"]

    def test_leaves_the_requester_out_of_the_candidates(self, world: World) -> None:
        identity.add_member(
            group=Group.objects.get(slug="payments-sre"),
            user=world.user("bo"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        request = world.ask("bo", WRITER, ticket=world.tickets["bos"])
        assert queries.describe([request])[request.pk].steps[0].candidates == ("ada",)


class TestReader:
    def test_nobody_is_asked_for_ones_own_bad_ticket(self, world: World) -> None:
        request = world.ask(role=READER)
        assert request.state == "APPROVED"
        assert not Chain.objects.filter(request=request).exists()
        with pytest.raises(operations.NothingToDecide):
            world.decide("ada", request)

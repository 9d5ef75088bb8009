from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from approvals import operations, queries, rules
from approvals.backend import NobodyCanApprove
from approvals.models import Chain, Decision, Step
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

    def test_double_click_is_one_decision(self, world: World) -> None:
        request = world.ask()
        first, second = world.decide("ada", request), world.decide("ada", request)
        assert (first.repeated, second.repeated) == (False, True)
        assert second.decision.pk == first.decision.pk
        assert Decision.objects.count() == 1
        assert Grant.objects.count() == 1

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

    def test_a_second_account_of_the_requester_never_decides(self, world: World) -> None:
        request = world.ask()
        people.person("rita-two", "payments-leads", same_person_as=world.user("rita"))
        with pytest.raises(rules.SelfApproval):
            world.decide("rita-two", request)
        request.refresh_from_db()
        assert request.state == "PENDING"

    def test_an_approver_who_lost_the_group_is_refused_and_the_step_stays_open(
        self, world: World
    ) -> None:
        request = world.ask()
        identity.remove_member(
            group=Group.objects.get(slug="payments-leads"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        with pytest.raises(rules.NotAnApprover, match="no longer"):
            world.decide("ada", request)
        assert Step.objects.get(chain__request=request).state == "OPEN"
        world.decide("bo", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_a_disabled_approver_is_refused(self, world: World) -> None:
        request = world.ask()
        identity.disable_user(user=world.user("ada"), actor=people.INSTALLER, now=clock.now())
        with pytest.raises(rules.NotAnApprover):
            world.decide("ada", request)

    def test_a_stranger_is_refused(self, world: World) -> None:
        with pytest.raises(rules.NotAnApprover):
            world.decide("otto", world.ask())

    def test_an_operator_can_not_approve_by_virtue_of_that(self, world: World) -> None:
        with pytest.raises(rules.NotAnApprover):
            world.decide("opal", world.ask())

    def test_a_denial_needs_a_reason(self, world: World) -> None:
        request = world.ask()
        with pytest.raises(rules.ReasonRequired, match="why"):
            world.decide("ada", request, "deny")
        world.decide("ada", request, "deny", comment="Use the reader role.")
        request.refresh_from_db()
        assert request.state == "DENIED"
        assert Chain.objects.get(request=request).state == "DENIED"

    def test_a_click_after_a_denial_hears_who_denied(self, world: World) -> None:
        request = world.ask()
        world.decide("ada", request, "deny", comment="No.")
        with pytest.raises(rules.AlreadyDecided, match="denied by ada"):
            world.decide("bo", request)
        assert not Grant.objects.exists()

    def test_a_click_after_the_approval_hears_who_approved(self, world: World) -> None:
        request = world.ask()
        world.decide("ada", request)
        with pytest.raises(rules.AlreadyDecided, match="approved by ada"):
            world.decide("bo", request)

    def test_a_click_after_the_withdrawal_hears_of_it(self, world: World) -> None:
        request = world.ask()
        lapse.withdraw(request_id=request.pk, user=world.user("rita"), actor=world.actor("rita"))
        with pytest.raises(rules.RequestWithdrawn):
            world.decide("ada", request)

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

    def test_an_approver_may_shorten_but_never_lengthen(self, world: World) -> None:
        request = world.ask(duration_seconds=600)
        with pytest.raises(rules.DurationNotShorter, match="600"):
            world.decide("ada", request, duration_seconds=601)
        world.decide("ada", request, duration_seconds=60)
        assert Grant.objects.get(request=request).duration_seconds == 60

    def test_the_shorter_time_of_the_first_step_binds_the_second(self, world: World) -> None:
        request = world.ask(role=ADMIN, duration_seconds=600)
        world.decide("ada", request, duration_seconds=120)
        with pytest.raises(rules.DurationNotShorter, match="120"):
            world.decide("olga", request, duration_seconds=300)
        world.decide("olga", request)
        assert Grant.objects.get(request=request).duration_seconds == 120

    def test_an_approver_of_step_one_is_not_counted_again_in_step_two(self, world: World) -> None:
        people.person("max", "sre-managers")
        identity.add_member(
            group=Group.objects.get(slug="sre-managers"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        request = world.ask(role=ADMIN)
        world.decide("ada", request)
        with pytest.raises(rules.AlreadyCounted, match="one person counts once"):
            world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "PENDING"
        world.decide("olga", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

    def test_a_click_on_an_older_step_never_counts_for_a_later_one(self, world: World) -> None:
        request = world.ask(role=ADMIN)
        first = Step.objects.get(chain__request=request, position=1)
        world.decide("ada", request)
        with pytest.raises(rules.AlreadyDecided, match="Step 1 is over"):
            world.decide("bo", request, step_id=first.pk)
        assert world.decide("ada", request, step_id=first.pk).repeated

    def test_changing_ones_mind_in_the_same_step_is_refused(self, world: World) -> None:
        request = world.ask()
        Step.objects.filter(chain__request=request).update(quorum=2)
        world.decide("ada", request)
        with pytest.raises(rules.AlreadyDecided, match="first word"):
            world.decide("ada", request, "deny", comment="On second thought.")

    def test_a_quorum_of_two_waits_for_two_people(self, world: World) -> None:
        request = world.ask()
        Step.objects.filter(chain__request=request).update(quorum=2)
        world.decide("ada", request)
        request.refresh_from_db()
        assert request.state == "PENDING"
        world.decide("bo", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"

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
    def test_an_empty_group_refuses_the_request_and_names_the_step(self, world: World) -> None:
        for name in ("ada", "bo"):
            identity.remove_member(
                group=Group.objects.get(slug="payments-leads"),
                user=world.user(name),
                actor=people.INSTALLER,
                now=clock.now(),
            )
        with pytest.raises(NobodyCanApprove, match="step 1"):
            world.ask()
        assert not ElevationRequest.objects.exists()

    def test_a_group_whose_only_member_is_the_requester_refuses(self, world: World) -> None:
        leads = Group.objects.get(slug="payments-leads")
        for name in ("ada", "bo"):
            identity.remove_member(
                group=leads, user=world.user(name), actor=people.INSTALLER, now=clock.now()
            )
        identity.add_member(
            group=leads, user=world.user("rita"), actor=people.INSTALLER, now=clock.now()
        )
        with pytest.raises(NobodyCanApprove, match="other than you"):
            world.ask()

    def test_two_steps_that_only_one_person_could_answer_refuse(self, world: World) -> None:
        """The same person in both groups can't be two people."""
        leads = Group.objects.get(slug="payments-leads")
        for name in ("ada", "bo"):
            identity.remove_member(
                group=leads, user=world.user(name), actor=people.INSTALLER, now=clock.now()
            )
        identity.add_member(
            group=leads, user=world.user("olga"), actor=people.INSTALLER, now=clock.now()
        )
        with pytest.raises(NobodyCanApprove, match="counts once"):
            world.ask(role=ADMIN)

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

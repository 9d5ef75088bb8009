"""The edge cases of a decision through the web's door and the API's, each with the same answer.

Slack's door has the same cases in `tests/approvals/slack/test_interactions.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils.html import strip_tags

from approvals import delegation, escalation
from approvals.models import Decision, Step
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import Group, User
from jit.kernel import clock
from jit.workflow import lapse
from tests.support import people
from tests.support.world import World

type Door = Callable[..., tuple[int, str]]


@pytest.fixture(params=["web", "api"])
def door(request: pytest.FixtureRequest, world: World) -> Door:
    """Return a way to decide: (username, request, decision, more) → (status, words)."""

    def by_web(name: str, row: ElevationRequest, decision: str = "approve", **more: Any) -> Any:
        client = people.signed_in(Client(), world.user(name))
        answer = client.post(f"/requests/{row.pk}/decide/", {"decision": decision, **more})
        return answer.status_code, answer.content.decode()

    def by_api(name: str, row: ElevationRequest, decision: str = "approve", **more: Any) -> Any:
        answer = world.api(name).post(
            f"requests/{row.pk}/decisions/", {"decision": decision} | more
        )
        return answer.status_code, answer.content.decode()

    return by_web if request.param == "web" else by_api


def leave(world: World, name: str) -> None:
    identity.remove_member(
        group=Group.objects.get(slug="payments-leads"),
        user=world.user(name),
        actor=people.INSTALLER,
        now=clock.now(),
    )


def lend(world: World, owner: str, stand_in: str) -> Any:
    now = clock.now()
    return delegation.delegate(
        delegator=world.user(owner),
        delegate=world.user(stand_in),
        starts_at=now,
        ends_at=now + dt.timedelta(hours=1),
        reason="Away.",
        actor=world.actor(owner),
        now=now,
    )


def still_open(request: ElevationRequest) -> bool:
    request.refresh_from_db()
    step = Step.objects.get(chain__request=request)
    return (request.state, step.state, Decision.objects.count()) == ("PENDING", "OPEN", 0)


class TestTwice:
    def test_a_double_click_is_one_decision_and_no_error(self, world: World, door: Door) -> None:
        request = world.ask()
        first, again = door("ada", request), door("ada", request)
        assert first[0] in {200, 201}
        assert again[0] == 200
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1

    def test_another_word_after_the_first_is_refused(self, world: World, door: Door) -> None:
        request = world.ask()
        door("ada", request)
        status, words = door("ada", request, "deny", comment="No.")
        assert status == 409
        assert "Already approved by ada" in words

    def test_asked_again_after_a_denial_is_another_request_without_voices(
        self, world: World, door: Door
    ) -> None:
        denied = world.ask()
        door("ada", denied, "deny", comment="Not tonight.")
        request = world.ask()
        assert request.pk != denied.pk
        assert not Decision.objects.filter(step__chain__request=request).exists()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert door("ada", denied)[0] == 409
        assert door("ada", request)[0] in {200, 201}


class TestTooLate:
    def test_after_a_denial_hears_who_and_when(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("ada", request, "deny", comment="Not tonight.")[0] in {200, 201}
        status, words = door("bo", request)
        assert status == 409
        assert "Already denied by ada at 20" in words

    def test_after_the_approval_hears_who(self, world: World, door: Door) -> None:
        request = world.ask()
        door("ada", request)
        status, words = door("bo", request)
        assert status == 409
        assert "Already approved by ada at 20" in words

    def test_after_the_lapse_even_before_the_sweep(self, world: World, door: Door) -> None:
        request = world.ask()
        ElevationRequest.objects.update(lapses_at=clock.now())
        status, words = door("ada", request)
        assert status == 409
        assert "lapsed at" in words
        assert not Grant.objects.exists()

    def test_after_the_withdrawal(self, world: World, door: Door) -> None:
        request = world.ask()
        lapse.withdraw(request_id=request.pk, user=world.user("rita"), actor=world.actor("rita"))
        status, words = door("ada", request)
        assert status == 409
        assert "withdrew this request at" in words

    def test_on_an_older_step_never_counts_for_a_later_one(self, world: World, door: Door) -> None:
        request = world.ask(role="orders-db-admin")
        first = str(Step.objects.get(chain__request=request, position=1).pk)
        assert door("ada", request, step=first)[0] in {200, 201}
        status, words = door("olga", request, step=first)
        assert status == 409
        assert "Step 1 is over" in words


class TestWhoMay:
    def test_never_the_requester(self, world: World, door: Door) -> None:
        lend(world, "ada", "rita")
        request = world.ask()
        status, words = door("rita", request)
        assert status == 403
        assert "rita asked for this" in words
        assert still_open(request)

    def test_never_a_second_account_of_the_requester(self, world: World, door: Door) -> None:
        User.objects.filter(username="bo").update(person_id=world.user("rita").person_id)
        request = world.ask()
        assert door("bo", request)[0] == 403
        assert still_open(request)

    def test_who_lost_the_group_hears_why_and_the_step_stays_open(
        self, world: World, door: Door
    ) -> None:
        request = world.ask()
        leave(world, "ada")
        status, words = door("ada", request)
        assert status == 403
        assert "not (or no longer) one of them" in words
        assert still_open(request)

    def test_whose_delegation_ended_hears_why_and_the_step_stays_open(
        self, world: World, door: Door
    ) -> None:
        lent = lend(world, "ada", "otto")
        request = world.ask()
        delegation.revoke(
            delegation=lent, user=world.user("ada"), actor=world.actor("ada"), now=clock.now()
        )
        status, words = door("otto", request)
        assert status == 403
        assert "nor stands in for one now" in words
        assert still_open(request)

    def test_a_stand_in_is_shown_as_one_for_another(self, world: World, door: Door) -> None:
        lend(world, "ada", "otto")
        request = world.ask()
        assert door("otto", request)[0] in {200, 201}
        assert Decision.objects.get().who == "otto for ada"
        page = people.signed_in(Client(), world.user("rita")).get(f"/requests/{request.pk}/chain/")
        assert "otto for ada" in " ".join(strip_tags(page.content.decode()).split())

    def test_an_approver_of_step_one_is_not_counted_in_step_two(
        self, world: World, door: Door
    ) -> None:
        identity.add_member(
            group=Group.objects.get(slug="sre-managers"),
            user=world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        request = world.ask(role="orders-db-admin")
        assert door("ada", request)[0] in {200, 201}
        status, words = door("ada", request, step=str(Step.objects.get(state="OPEN").pk))
        assert status == 403
        assert "one person counts once" in words

    def test_a_stranger_does_not_even_see_it(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("otto", request)[0] == 404
        assert still_open(request)

    def test_an_operator_not_by_virtue_of_that(self, world: World, door: Door) -> None:
        request = world.ask()
        assert door("opal", request)[0] == 403
        assert still_open(request)


class TestHowLong:
    def test_may_be_shorter_and_never_longer(self, world: World, door: Door) -> None:
        request = world.ask()
        many = {"duration_seconds": 1200, "minutes": 20}
        assert door("ada", request, **many)[0] == 422
        assert still_open(request)
        assert door("ada", request, duration_seconds=300, minutes=5)[0] in {200, 201}
        request.refresh_from_db()
        assert request.granted_seconds == 300

    def test_a_denial_takes_a_reason(self, world: World, door: Door) -> None:
        request = world.ask()
        status, words = door("ada", request, "deny", comment="   ")
        assert status == 422
        assert "needs a reason" in words
        assert still_open(request)


class TestQuorum:
    def test_counts_two_people_and_not_two_clicks(self, world: World, door: Door) -> None:
        request = world.ask()
        Step.objects.update(quorum=2)
        door("ada", request)
        door("ada", request)
        request.refresh_from_db()
        assert request.state == "PENDING"
        door("bo", request)
        request.refresh_from_db()
        assert request.state == "APPROVED"
        assert Decision.objects.count() == 2

    def test_a_voice_and_its_stand_in_count_once(self, world: World, door: Door) -> None:
        lend(world, "ada", "otto")
        request = world.ask()
        Step.objects.update(quorum=2)
        assert door("otto", request)[0] in {200, 201}
        status, words = door("ada", request)
        assert status == 403
        assert "for you" in words
        request.refresh_from_db()
        assert request.state == "PENDING"

    def test_everybody_gone_asks_the_owners_and_approves_nothing(
        self, world: World, door: Door
    ) -> None:
        request = world.ask()
        leave(world, "ada")
        leave(world, "bo")
        Step.objects.update(look_at=clock.now())
        escalation.watch()
        request.refresh_from_db()
        assert request.state == "PENDING"
        assert door("olga", request)[0] in {200, 201}
        request.refresh_from_db()
        assert request.state == "APPROVED"

"""The edge cases of docs/edge-cases.md through Slack's door: each by a payload that is signed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from approvals import delegation, escalation
from approvals.models import Decision, Delegation, Step
from jit.catalog.models import Role, Target
from jit.connectors.base import Unreachable
from jit.elevation import provisioning
from jit.elevation.models import AfterReview, ElevationRequest, Grant
from jit.identity import operations as identity
from jit.kernel import clock
from jit.tickets.adapters.base import TicketSystemUnavailable
from jit.tickets.adapters.local import Local
from jit.workflow import break_glass, revoke, submit, ticket_changed
from tests.approvals.doors import activated, join, leave, overdue, still_open
from tests.approvals.slack.support import SlackWorld
from tests.approvals.stricter import put_in_force
from tests.standins import on_call_fake
from tests.standins.on_call_fake import FakeOnCall
from tests.standins.slack_human import buttons_of, text_of
from tests.support import people
from tests.support.on_call import world_with_a_pager
from tests.support.standing_in import lent
from tests.support.world import ADMIN, WRITER, World


def lend(slack: SlackWorld, owner: str, stand_in: str) -> Delegation:
    return lent(slack.world, owner, stand_in)


def shown(slack: SlackWorld, name: str) -> str:
    return text_of(slack.human(name).message()["blocks"])


class TestAsking:
    def test_what_nobody_could_approve_is_told_in_the_modal(self, slack: SlackWorld) -> None:
        leave(slack.world, "ada", "bo")
        assert "Nobody can approve step 1" in slack.ask_by_modal()
        join(slack.world, "rita")
        assert "other than you" in slack.ask_by_modal()
        leave(slack.world, "rita")
        join(slack.world, "olga")
        assert "one person counts once" in slack.ask_by_modal(role=ADMIN)
        assert not ElevationRequest.objects.exists()

    def test_more_time_than_allowed_says_how_much_is(self, slack: SlackWorld) -> None:
        assert "7200" in slack.ask_by_modal(minutes="121")
        assert not ElevationRequest.objects.exists()

    def test_a_second_one_points_to_the_first(self, slack: SlackWorld) -> None:
        first = slack.ask()
        assert str(first.pk) in slack.ask_by_modal()

    def test_while_the_ticket_system_is_silent_nothing_is_asked(
        self, slack: SlackWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(_self: Local, _key: str) -> None:
            raise TicketSystemUnavailable("The tracker does not answer; try again.")

        monkeypatch.setattr(Local, "fetch", down)
        assert "does not answer" in slack.ask_by_modal()
        assert not ElevationRequest.objects.exists()


class TestWhoMay:
    def test_a_quorum_counts_people_and_not_clicks(self, slack: SlackWorld) -> None:
        request = slack.world.ask()
        Step.objects.update(quorum=2)
        slack.settle()
        clicks = [slack.human("ada").press("approve") for _ in range(2)]
        for click in clicks:
            slack.send(click)
        assert slack.state(request) == "PENDING"
        assert "1 of 2 heard" in shown(slack, "bo")
        slack.press("bo", "approve")
        assert slack.state(request) == "APPROVED"

    def test_an_operator_not_by_virtue_of_that(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.link("opal")
        slack.send(slack.human("opal").press("approve", slack.human("ada").message()))
        assert slack.outcome() == "NotAnApprover"
        assert still_open(request)

    def test_who_joins_the_group_gets_the_card_and_counts(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.link("otto")
        join(slack.world, "otto")
        escalation.look_soon("group:payments-leads")
        escalation.watch()
        slack.settle()
        slack.press("otto", "approve")
        assert slack.state(request) == "APPROVED"

    def test_an_overdue_step_asks_further_and_the_first_stay(self, slack: SlackWorld) -> None:
        request = slack.ask()
        overdue(request)
        escalation.watch()
        slack.settle()
        assert "approve" in buttons_of(slack.human("ada").message()["blocks"])
        slack.press("olga", "approve")
        assert slack.state(request) == "APPROVED"

    def test_everybody_gone_asks_the_owners_and_approves_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        leave(slack.world, "ada", "bo")
        Step.objects.update(look_at=clock.now())
        escalation.watch()
        slack.settle()
        assert still_open(request)
        slack.press("olga", "approve")
        assert slack.state(request) == "APPROVED"


class TestStandingIn:
    @pytest.fixture
    def lent(self, slack: SlackWorld) -> Delegation:
        slack.link("otto", "opal")
        return lend(slack, "ada", "otto")

    def test_counts_once_and_for_whom_it_is(self, slack: SlackWorld, lent: Delegation) -> None:
        request = slack.world.ask()
        Step.objects.update(quorum=2)
        slack.settle()
        adas = slack.human("ada").press("approve")
        slack.press("otto", "approve")
        slack.send(adas)
        assert slack.outcome() == "SpokenFor"
        assert slack.state(request) == "PENDING"
        assert "Approved by otto for ada" in shown(slack, "bo")

    def test_whose_time_is_over_hears_why(self, slack: SlackWorld, lent: Delegation) -> None:
        request = slack.ask()
        click = slack.human("otto").press("approve")
        delegation.revoke(
            delegation=lent,
            user=slack.world.user("ada"),
            actor=slack.world.actor("ada"),
            now=clock.now(),
        )
        slack.send(click)
        assert "nor stands in for one now" in slack.whispered
        assert still_open(request)

    def test_is_lent_on_to_nobody(self, slack: SlackWorld, lent: Delegation) -> None:
        lend(slack, "ada", "olga")
        lend(slack, "olga", "opal")
        request = slack.ask()
        slack.send(slack.human("opal").press("approve", slack.human("ada").message()))
        assert slack.outcome() == "NotAnApprover"
        assert still_open(request)

    def test_is_never_for_the_requester_nor_by_them(
        self, slack: SlackWorld, lent: Delegation
    ) -> None:
        lend(slack, "bo", "rita")
        join(slack.world, "rita")
        lend(slack, "rita", "opal")
        request = slack.ask()
        for name in ("rita", "opal"):
            slack.send(slack.human(name).press("approve", slack.human("ada").message()))
            assert slack.outcome() == "SelfApproval"
        assert still_open(request)


class TestMeanwhile:
    """The click counts for the chain; the privilege is asked for anew when it is given."""

    def test_a_stricter_policy_gives_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        put_in_force(slack.world, message="No more writing here.")
        slack.press("ada", "approve")
        assert self._ended(slack, request) == "policy"

    def test_a_role_that_was_retired_gives_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        Role.objects.filter(slug=WRITER).update(enabled=False)
        slack.press("ada", "approve")
        assert self._ended(slack, request)

    def test_a_ticket_that_was_closed_gives_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.world.api("rita").post(f"tickets/{slack.world.tickets['sev2']}/close/")
        slack.press("ada", "approve")
        assert self._ended(slack, request) == "ticket-closed"

    def test_a_requester_who_left_gets_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        click = slack.human("ada").press("approve")
        identity.disable_user(
            user=slack.world.user("rita"), actor=people.INSTALLER, now=clock.now()
        )
        slack.send(click)
        assert "The account of rita is disabled" in slack.whispered
        assert still_open(request)

    def test_what_waits_is_shown_as_not_yet_active(self, slack: SlackWorld) -> None:
        Target.objects.update(health={"ok": False, "skew_seconds": 2.5})
        request = slack.ask()
        slack.press("ada", "approve")
        assert activated(request).state == "SCHEDULED"
        slack.settle()
        assert "Approved, not yet active" in shown(slack, "rita")
        assert "clock" in shown(slack, "rita")

    def test_the_shorter_time_of_the_first_step_binds_the_second(self, slack: SlackWorld) -> None:
        request = slack.ask(role=ADMIN)
        slack.post(slack.human("ada").press("less"))
        slack.send(slack.human("ada").submit(minutes="2"))
        slack.post(slack.human("olga").press("less"))
        answer = slack.send(slack.human("olga").submit(minutes="5")).json()
        assert set(answer["errors"]) == {"minutes"}
        slack.press("olga", "approve")
        assert Grant.objects.get(request=request).duration_seconds == 120

    def test_before_its_start_nothing_is_given(self, slack: SlackWorld) -> None:
        request = slack.ask(starts_at=clock.now() + dt.timedelta(hours=3))
        slack.press("ada", "approve")
        assert activated(request).state == "SCHEDULED"
        assert "Approved, not yet active" in shown(slack, "rita")

    def test_asked_again_after_a_denial_is_another_request_without_voices(
        self, slack: SlackWorld
    ) -> None:
        denied = slack.ask()
        old = slack.human("ada").press("approve")
        slack.post(slack.human("ada").press("deny"))
        slack.send(slack.human("ada").submit(comment="Not tonight."))
        request = slack.ask()
        slack.send(old)
        assert "Already denied by ada" in slack.whispered
        assert (slack.state(denied), slack.state(request)) == ("DENIED", "PENDING")
        again = slack.human("ada").messages()[0]
        assert f"{WRITER} denied" in text_of(again["blocks"])
        slack.send(slack.human("ada").press("approve", again))
        assert slack.state(request) == "APPROVED"

    @staticmethod
    def _ended(slack: SlackWorld, request: ElevationRequest) -> str:
        """Return why the grant was withdrawn, as its requester is shown too."""
        assert slack.state(request) == "APPROVED"
        grant = activated(request)
        slack.settle()
        assert grant.state == "WITHDRAWN"
        assert "Withdrawn" in shown(slack, "rita")
        assert "Active until" not in shown(slack, "rita")
        return str(grant.end_reason)


class TestTheGrant:
    def test_a_ticket_that_closes_is_told_before_it_ends_it(self, slack: SlackWorld) -> None:
        grant = slack.world.grant(role=ADMIN)
        slack.settle()
        key = slack.world.tickets["sev2"]
        slack.world.api("rita").post(f"tickets/{key}/close/")
        assert ticket_changed.poll() == 1
        slack.settle()
        for _ in range(4):  # One message a second in each channel.
            slack.tell()
            slack.later(60)
        assert any(f"Ticket {key} is closed" in words for words in slack.human("rita").thread())
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        Grant.objects.update(revoke_at=clock.now())
        revoke.revoke_due()
        slack.settle()
        assert "Ended its ticket was closed" in shown(slack, "rita")

    def test_a_target_that_is_down_at_the_end_shows_as_ending(
        self, slack: SlackWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*, grants: list[Grant], **_more: Any) -> list[Unreachable]:
            return [Unreachable("connection refused") for _ in grants]

        slack.world.grant()
        slack.settle()
        monkeypatch.setattr(provisioning, "revoke", down)
        slack.press("rita", "done")
        revoke.revoke_due()
        slack.settle()
        assert f"Ending: {WRITER}" in shown(slack, "rita")
        assert "Ended" not in shown(slack, "rita")


class TestOnCall:
    @pytest.fixture
    def pager(self) -> Iterator[FakeOnCall]:
        with on_call_fake.running() as fake:
            yield fake

    @pytest.fixture
    def world(self, db: None, pager: FakeOnCall, settings: Any, tmp_path: Path) -> World:
        return world_with_a_pager(pager, settings, tmp_path)

    def test_a_silent_system_leaves_it_to_people(
        self, slack: SlackWorld, pager: FakeOnCall
    ) -> None:
        pager.puts_on_call("rita@example.com")
        pager.acknowledges("rita@example.com")
        pager.fails = 500
        assert "pending" in slack.ask_by_modal()
        request = ElevationRequest.objects.get()
        assert request.ruling["rule"] == "others"
        slack.press("ada", "approve")
        assert slack.state(request) == "APPROVED"


class TestBreakGlass:
    def test_is_told_to_whom_it_skipped(self, slack: SlackWorld) -> None:
        now = clock.now()
        break_glass.use(
            requester=slack.world.user("rita"),
            ask=submit.Ask(
                role=WRITER,
                ticket=slack.world.tickets["sev1"],
                justification="Everything burns and nobody answers.",
                duration_seconds=600,
            ),
            promise_ticket=False,
            second_factor_at=now,
            actor=slack.world.actor("rita"),
            now=now,
        )
        slack.tell()
        assert AfterReview.objects.get().state == "OPEN"
        for name in ("ada", "bo", "olga"):
            told = text_of(slack.human(name).message()["blocks"])
            assert "rita broke the glass for orders-db-writer: your review is owed" in told
            assert buttons_of(slack.human(name).message()["blocks"]) == ["open"]
        assert not Decision.objects.exists()

from __future__ import annotations

import datetime as dt
import json
import uuid

import pytest

from approvals.models import Decision, Step
from approvals.slack.models import SlackMessage
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.identity import operations as identity
from jit.identity.models import Group, User
from jit.kernel import clock
from jit.workflow import lapse
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import buttons_of, text_of
from tests.support import people
from tests.support.world import ADMIN


def refused_in_slack() -> list[str]:
    rows = AuditEvent.objects.filter(action="slack.refused").order_by("seq")
    return [json.loads(bytes(row.body))["body"]["code"] for row in rows]


class TestApprove:
    def test_a_click_is_a_decision_through_the_one_function(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.press("ada", "approve")
        assert slack.state(request) == "APPROVED"
        decision = Decision.objects.get()
        assert (decision.approver.username, decision.channel) == ("ada", "slack")
        assert not decision.second_factor
        assert Grant.objects.filter(request=request).count() == 1

    def test_redraws_every_copy_without_buttons(self, slack: SlackWorld) -> None:
        slack.ask()
        before = slack.human("bo").message()
        assert buttons_of(before["blocks"]) == ["approve", "less", "deny", "open"]
        slack.press("ada", "approve")
        for name in ("ada", "bo", "rita"):
            after = slack.human(name).message()
            assert buttons_of(after["blocks"]) == ["open"]
            assert "Approved by ada" in text_of(after["blocks"])

    def test_a_double_click_is_one_decision(self, slack: SlackWorld) -> None:
        slack.ask()
        message = slack.human("ada").message()
        first = slack.human("ada").press("approve", message)
        second = slack.human("ada").press("approve", message)
        slack.send(first)
        slack.send(second)
        assert Decision.objects.count() == 1
        assert "it stands" in slack.whispered

    def test_a_replayed_body_gets_200_and_no_second_effect(self, slack: SlackWorld) -> None:
        slack.ask()
        signed = slack.human("ada").press("approve")
        slack.send(signed)
        answer = slack.send(signed)
        assert answer.content == b""
        assert Decision.objects.count() == 1
        assert slack.workspace.replies.said == []

    def test_a_click_is_only_acted_on_once_however_often_the_task_runs(
        self, slack: SlackWorld
    ) -> None:
        from approvals.slack import tasks
        from approvals.slack.models import SlackPayload

        slack.ask()
        slack.press("ada", "approve")
        payload = SlackPayload.objects.get(kind="approve")
        tasks.act(str(payload.pk))
        tasks.act(str(payload.pk))
        assert Decision.objects.count() == 1

    def test_the_second_step_asks_others_and_an_old_button_never_counts_for_it(
        self, slack: SlackWorld
    ) -> None:
        request = slack.ask(role=ADMIN)
        old = slack.human("bo").message()
        slack.press("ada", "approve")
        assert "approve" in buttons_of(slack.human("olga").message()["blocks"])
        slack.send(slack.human("bo").press("approve", old))
        assert slack.state(request) == "PENDING"
        assert "Step 1 is over" in slack.whispered
        slack.press("olga", "approve")
        assert slack.state(request) == "APPROVED"

    def test_a_step_that_is_none_of_the_requests_decides_nothing(self, slack: SlackWorld) -> None:
        request = slack.ask()
        click = slack.human("ada").click("approve")
        handle = click["actions"][0]["value"].partition(".")[0]
        click["actions"][0]["value"] = f"{handle}.{uuid.uuid4()}"
        slack.send(slack.human("ada").press_payload(click))
        assert slack.state(request) == "PENDING"
        assert "open the request again" in slack.whispered

    def test_a_requester_never_decides_on_their_own_request(self, slack: SlackWorld) -> None:
        request = slack.ask()
        adas = slack.human("ada").message()
        slack.send(slack.human("rita").press("approve", adas))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SelfApproval"
        assert "another approver" in slack.whispered

    def test_a_second_account_of_the_requester_never_decides(self, slack: SlackWorld) -> None:
        request = slack.ask()
        people.person("gus", "payments-leads", same_person_as=slack.world.user("rita"))
        slack.link("gus")
        slack.send(slack.human("gus").press("approve", slack.human("ada").message()))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SelfApproval"

    def test_a_stranger_to_the_step_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.send(slack.human("olga").press("approve", slack.human("ada").message()))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "NotAnApprover"


class TestLateClicks:
    def test_after_a_denial_hears_who_denied_and_when(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("bo").message()
        slack.world.decide("ada", request, "deny", comment="Use the reader role.")
        slack.send(slack.human("bo").press("approve", message))
        assert slack.state(request) == "DENIED"
        assert "Already denied by ada at" in slack.whispered
        assert not Grant.objects.exists()

    def test_after_the_approval_on_the_web_hears_who_approved(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("bo").message()
        slack.world.decide("ada", request)
        slack.send(slack.human("bo").press("approve", message))
        assert "Already approved by ada" in slack.whispered
        assert buttons_of(slack.human("bo").message()["blocks"]) == ["open"]

    def test_after_the_lapse_hears_of_it_even_before_the_sweep(self, slack: SlackWorld) -> None:
        request = slack.ask()
        ElevationRequest.objects.filter(pk=request.pk).update(
            lapses_at=clock.now() - dt.timedelta(seconds=1)
        )
        slack.press("ada", "approve")
        assert "lapsed" in slack.whispered
        assert not Decision.objects.exists()
        lapse.lapse_due()
        slack.settle()
        assert "Lapsed" in text_of(slack.human("ada").message()["blocks"])

    def test_after_the_withdrawal_hears_of_it(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        lapse.withdraw(
            request_id=request.pk,
            user=slack.world.user("rita"),
            actor=slack.world.actor("rita"),
        )
        slack.send(slack.human("ada").press("approve", message))
        assert "withdrew" in slack.whispered
        assert not Decision.objects.exists()

    def test_a_withdrawn_request_says_why(self, slack: SlackWorld) -> None:
        """The card of a request that a broken glass replaced said only that it was taken back."""
        slack.ask()
        rita = slack.world.user("rita")
        lapse.withdraw_all_of(user=rita, why="rita left", actor=slack.world.actor("rita"))
        slack.settle()
        assert "rita left" in text_of(slack.human("ada").message()["blocks"])

    def test_after_losing_the_group_is_refused_and_the_step_stays_open(
        self, slack: SlackWorld
    ) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        identity.remove_member(
            group=Group.objects.get(slug="payments-leads"),
            user=slack.world.user("ada"),
            actor=people.INSTALLER,
            now=clock.now(),
        )
        slack.send(slack.human("ada").press("approve", message))
        assert "no longer" in slack.whispered
        assert Step.objects.get(chain__request=request).state == "OPEN"
        assert buttons_of(slack.human("ada").message()["blocks"]) == ["open"]
        slack.press("bo", "approve")
        assert slack.state(request) == "APPROVED"

    def test_of_a_disabled_account_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        identity.disable_user(user=slack.world.user("ada"), actor=people.INSTALLER, now=clock.now())
        slack.send(slack.human("ada").press("approve", message))
        assert slack.outcome() == "AccountDisabled"
        assert slack.state(request) == "PENDING"

    def test_on_a_message_that_was_deleted_in_slack_still_counts(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        signed = slack.human("ada").press("approve", message)
        slack.workspace.emulator.call("chat.delete", channel=message["channel"], ts=message["ts"])
        slack.send(signed)
        assert slack.state(request) == "APPROVED"
        assert SlackMessage.objects.get(user__username="ada").fate == "lost"

    def test_with_a_handle_that_nobody_knows_is_answered(self, slack: SlackWorld) -> None:
        slack.ask()
        payload = slack.human("ada").click("approve")
        payload["actions"][0]["value"] = "nobody-knows-this." + "0" * 32
        slack.send(slack.human("ada").press_payload(payload))
        assert slack.outcome() == "StaleButton"
        assert not Decision.objects.exists()

    def test_believe_nothing_that_the_message_in_the_payload_says(self, slack: SlackWorld) -> None:
        request = slack.ask()
        payload = slack.human("ada").click("approve")
        payload["message"]["blocks"] = [
            {"type": "section", "text": {"type": "mrkdwn", "text": "otto asks for everything"}}
        ]
        payload["user"]["name"] = payload["user"]["username"] = "olga"
        slack.send(slack.human("ada").press_payload(payload))
        assert slack.state(request) == "APPROVED"
        assert Decision.objects.get().approver.username == "ada"


class TestWhoClicked:
    def test_somebody_unlinked_is_refused_audited_and_told_what_to_do(
        self, slack: SlackWorld
    ) -> None:
        request = slack.ask()
        slack.send(slack.human("otto").press("approve", slack.human("ada").message()))
        assert slack.state(request) == "PENDING"
        assert "linked to nobody" in slack.whispered
        assert refused_in_slack() == ["SlackNotLinked"]

    def test_a_guest_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.faults.profiles[slack.human("ada").id] = {"is_restricted": True}
        slack.press("ada", "approve")
        assert slack.state(request) == "PENDING"
        assert "Guests" in slack.whispered
        assert refused_in_slack() == ["SlackGuest"]

    def test_a_deleted_slack_account_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.faults.profiles[slack.human("ada").id] = {"deleted": True}
        slack.press("ada", "approve")
        assert slack.state(request) == "PENDING"
        assert refused_in_slack() == ["SlackAccountDeleted"]

    def test_a_foreign_workspace_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        foreigner = slack.human("ada")
        message = foreigner.message()
        foreigner.team = "T0FOREIGN"
        slack.send(foreigner.press("approve", message))
        assert slack.state(request) == "PENDING"
        assert refused_in_slack() == ["NotOurWorkspace"]

    def test_another_app_of_the_workspace_is_refused(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.send(slack.human("ada").press("approve", api_app_id="A0OTHER"))
        assert slack.state(request) == "PENDING"
        assert refused_in_slack() == ["NotOurWorkspace"]

    def test_when_slack_does_not_say_who_it_is_nothing_is_decided(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.faults.next("users.info", "500")
        slack.press("ada", "approve")
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SlackStandingUnknown"

    def test_an_unlinked_approver_is_shown_the_request_and_how_to_link(
        self, slack: SlackWorld
    ) -> None:
        from approvals.slack.models import SlackLink

        SlackLink.objects.filter(user__username="bo").delete()
        slack.ask()
        assert buttons_of(slack.human("bo").message()["blocks"]) == ["open", "link"]


class TestStrength:
    @pytest.mark.parametrize("strength", ["web_phishing_resistant", "notify"])
    def test_of_the_web_shows_a_link_and_no_button(self, slack: SlackWorld, strength: str) -> None:
        request = slack.ask()
        before = slack.human("ada").message()
        slack.with_strength(request, strength)
        assert buttons_of(slack.human("ada").message()["blocks"]) == ["open"]
        slack.send(slack.human("ada").press("approve", before))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "ChannelTooWeak"

    def test_a_denial_is_welcome_from_anywhere(self, slack: SlackWorld) -> None:
        request = slack.ask()
        before = slack.human("ada").message()
        slack.with_strength(request, "web_phishing_resistant")
        slack.post(slack.human("ada").press("deny", before))
        slack.send(slack.human("ada").submit(comment="Not now."))
        assert slack.state(request) == "DENIED"

    def test_of_a_recent_step_up_wants_one(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.with_strength(request, "slack_with_recent_step_up")
        User.objects.filter(username="ada").update(
            second_factor_at=clock.now() - dt.timedelta(minutes=20)
        )
        slack.press("ada", "approve")
        assert slack.state(request) == "PENDING"
        assert "second factor" in slack.whispered
        User.objects.filter(username="ada").update(
            second_factor_at=clock.now() - dt.timedelta(minutes=5)
        )
        slack.press("ada", "approve")
        assert slack.state(request) == "APPROVED"


class TestModals:
    def test_a_denial_takes_a_reason(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("deny"))
        answer = slack.send(slack.human("ada").submit()).json()
        assert answer["response_action"] == "errors"
        assert "reason" in answer["errors"]["comment"]
        assert slack.state(request) == "PENDING"
        answer = slack.send(slack.human("ada").submit(comment="Use the reader role."))
        assert answer.content == b""
        assert slack.state(request) == "DENIED"
        assert Decision.objects.get().comment == "Use the reader role."
        assert "Denied by ada" in text_of(slack.human("rita").message()["blocks"])

    def test_a_form_that_does_not_open_is_no_silence(self, slack: SlackWorld) -> None:
        """Slack opens a form within three seconds of the click or not at all: nothing was said."""
        slack.ask()
        slack.faults.next("views.open", "500")
        slack.send(slack.human("ada").press("deny"))
        assert "Press again, or go to" in slack.whispered

    def test_a_replayed_submission_gets_the_first_answer(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.post(slack.human("ada").press("deny"))
        signed = slack.human("ada").submit()
        first, second = slack.post(signed), slack.post(signed)
        assert first.json() == second.json()

    def test_approving_for_less_shortens_it(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("less"))
        slack.send(slack.human("ada").submit(minutes="3"))
        request.refresh_from_db()
        assert (request.state, request.granted_seconds) == ("APPROVED", 180)

    @pytest.mark.parametrize("minutes", ["", "0", "-5", "1.5", "x", "٣", "999999", "11"])
    def test_minutes_that_are_not_fewer_stand_beside_the_field(
        self, slack: SlackWorld, minutes: str
    ) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("less"))
        answer = slack.send(slack.human("ada").submit(minutes=minutes)).json()
        assert set(answer["errors"]) == {"minutes"}
        assert slack.state(request) == "PENDING"

    def test_a_late_submission_hears_what_happened(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("deny"))
        slack.world.decide("bo", request)
        answer = slack.send(slack.human("ada").submit(comment="No.")).json()
        assert answer["response_action"] == "update"
        assert "Already approved by bo" in text_of(answer["view"]["blocks"])

    def test_a_guest_opens_no_door_by_a_modal(self, slack: SlackWorld) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("deny"))
        slack.faults.profiles[slack.human("ada").id] = {"is_ultra_restricted": True}
        answer = slack.send(slack.human("ada").submit(comment="No.")).json()
        assert "Guests" in text_of(answer["view"]["blocks"])
        assert slack.state(request) == "PENDING"

    def test_somebody_who_may_not_see_the_request_sees_no_modal_of_it(
        self, slack: SlackWorld
    ) -> None:
        slack.ask()
        slack.link("otto")
        slack.post(slack.human("otto").press("deny", slack.human("ada").message()))
        assert "no such request" in text_of(slack.human("otto").modal()["blocks"])

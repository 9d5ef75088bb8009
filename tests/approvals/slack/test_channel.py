from __future__ import annotations

import pytest

from approvals.slack.models import SlackMessage
from jit.elevation.models import Grant
from jit.kernel import clock
from jit.notifications import delivering
from jit.notifications import operations as notifications
from jit.notifications.kinds import Kind
from jit.notifications.models import Notification
from jit.workflow import activate, revoke
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import text_of


def outcomes() -> dict[tuple[str, str], str]:
    rows = Notification.objects.filter(channel="slack").select_related("recipient")
    return {(row.kind, str(row.recipient)): str(row.outcome) for row in rows}


class TestDeliver:
    def test_asking_is_told_by_the_copy_itself(self, slack: SlackWorld) -> None:
        slack.world.ask()
        slack.tell()
        assert len(slack.human("ada").messages()) == 1
        assert outcomes() == {("asked", "ada"): "DELIVERED", ("asked", "bo"): "DELIVERED"}
        slack.settle()
        slack.tell()
        assert len(slack.human("ada").messages()) == 1
        assert slack.human("ada").thread() == []

    def test_the_requester_hears_of_decision_activation_and_end_in_one_thread(
        self, slack: SlackWorld
    ) -> None:
        request = slack.ask()
        slack.tell()
        slack.press("ada", "approve")
        slack.tell()
        grant = Grant.objects.get(request=request)
        activate.activate(grant_id=grant.pk)
        slack.settle()
        slack.tell()
        revoke.give_back(
            grant_id=grant.pk, user=slack.world.user("rita"), actor=slack.world.actor("rita")
        )
        revoke.revoke_due()
        slack.settle()
        slack.tell()
        thread = slack.human("rita").thread()
        assert [words.split(" Open")[0] for words in thread] == [
            "ada approved your request for orders-db-writer",
            thread[1].split(" Open")[0],
            "orders-db-writer has ended: you returned it",
        ]
        assert "orders-db-writer is active until" in thread[1]
        assert slack.human("bo").thread() == [], "an approver's copy says it all"
        assert set(outcomes().values()) == {"DELIVERED"}

    def test_a_reply_whose_answer_was_lost_is_not_posted_twice(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.tell()
        slack.press("ada", "approve")
        slack.faults.next("chat.postMessage", "drop")
        slack.tell()
        assert outcomes()["decided", "rita"] == "WAITING"
        Notification.objects.filter(outcome="WAITING").update(next_try_at=clock.now())
        slack.tell()
        assert outcomes()["decided", "rita"] == "DELIVERED"
        assert len(slack.human("rita").thread()) == 1

    def test_a_silent_slack_is_tried_again(self, slack: SlackWorld) -> None:
        slack.faults.down = True
        slack.world.ask()
        slack.tell()
        assert outcomes()["asked", "ada"] == "WAITING"
        slack.faults.down = False
        slack.later(120)
        Notification.objects.filter(outcome="WAITING").update(next_try_at=clock.now())
        slack.tell()
        assert outcomes()["asked", "ada"] == "DELIVERED"
        assert len(slack.human("ada").messages()) == 1

    def test_somebody_not_in_slack_is_a_failure_that_says_so(self, slack: SlackWorld) -> None:
        from approvals.slack.models import SlackLink
        from jit.identity.models import User

        SlackLink.objects.filter(user__username="bo").delete()
        User.objects.filter(username="bo").update(email="")
        slack.world.ask()
        slack.tell()
        failed = Notification.objects.get(channel="slack", recipient__username="bo")
        assert failed.outcome == "FAILED"
        assert "neither a linked Slack account nor" in failed.reason

    def test_what_is_about_no_request_is_a_message_of_its_own(self, slack: SlackWorld) -> None:
        from jit.audit.operations import Subject

        notifications.notify(
            kind=Kind.TEST,
            recipients=[slack.world.user("opal")],
            subject=Subject(type="user", id="x", label="x"),
            payload={},
            key="a-test",
            now=clock.now(),
        )
        slack.tell()
        assert "A test of" in text_of(slack.human("opal").message()["blocks"])

    def test_where_slack_is_off_it_fails_for_good(self, slack: SlackWorld, settings) -> None:
        slack.world.ask()
        settings.SLACK = {}
        slack.tell()
        assert set(outcomes().values()) == {"FAILED"}
        assert not SlackMessage.objects.exists()

    @pytest.mark.parametrize("fault", ["429", "500"])
    def test_slacks_own_trouble_is_no_end(self, slack: SlackWorld, fault: str) -> None:
        slack.ask()
        slack.tell()
        slack.press("ada", "approve")
        slack.faults.next("chat.postMessage", fault)
        delivering.deliver_lane("slack")
        row = Notification.objects.get(channel="slack", kind="decided", recipient__username="rita")
        assert (row.outcome, row.tries) == ("WAITING", 1)
        if fault == "429":
            assert (row.next_try_at - clock.now()).total_seconds() > 5

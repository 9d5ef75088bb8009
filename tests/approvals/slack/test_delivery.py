from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import pytest
from django.test import Client

from approvals.slack import client, copies, delivery, tasks
from approvals.slack.models import Fate, SlackMessage
from jit.elevation.models import ElevationRequest
from jit.kernel import clock
from sessions.recording.models import Recording
from tests.approvals.slack.support import SlackWorld
from tests.sessions import used as grants_in_use
from tests.standins.slack_human import button_of, buttons_of, text_of
from tests.support import people
from tests.support.world import READER, WRITER


def copy_of(name: str, request: ElevationRequest | None = None) -> SlackMessage:
    rows = SlackMessage.objects.filter(user__username=name)
    return rows.get(request=request) if request else rows.get()


class TestDeliver:
    def test_posts_once_to_each_who_is_asked_and_to_the_requester(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.settle()
        for name in ("ada", "bo", "rita"):
            assert len(slack.human(name).messages()) == 1
        assert slack.human("olga").messages() == []
        assert len(slack.faults.calls("chat.postMessage")) == 3

    def test_a_connection_dropped_after_storing_posts_one_message(self, slack: SlackWorld) -> None:
        slack.faults.next("chat.postMessage", "drop", times=3)
        slack.ask()
        assert copy_of("ada").fate == Fate.WAITING
        slack.later(120)
        slack.settle()
        for name in ("ada", "bo", "rita"):
            assert buttons_of(slack.human(name).message()["blocks"])[-1] == "open"
            assert copy_of(name).fate == Fate.POSTED
        slack.press("ada", "approve")
        assert slack.world.user("ada").decisions.count() == 1

    def test_a_worker_killed_after_the_post_does_not_post_again(self, slack: SlackWorld) -> None:
        request = slack.world.ask()
        copies.plan(request_id=request.pk)
        held = copies.claim(copy_of("ada").pk)
        assert held is not None
        delivery._post(held, delivery.direct_channel(slack.world.user("ada")))
        assert copies.claim(copy_of("ada").pk) is None, "somebody else's lease"
        slack.later(31)
        slack.settle()
        assert len(slack.human("ada").messages()) == 1
        assert copy_of("ada").fate == Fate.POSTED

    def test_a_connection_cut_before_storing_posts_one_message(self, slack: SlackWorld) -> None:
        slack.faults.next("chat.postMessage", "refuse", times=2)
        slack.ask()
        slack.later(120)
        slack.settle()
        assert len(slack.human("ada").messages()) == 1

    def test_waits_as_long_as_slack_asks(self, slack: SlackWorld) -> None:
        slack.faults.next("chat.postMessage", "429")
        request = slack.world.ask()
        copies.plan(request_id=request.pk)
        first = copies.due()[0]
        delivery.deliver(first)
        posts = len(slack.faults.calls("chat.postMessage"))
        tasks.sweep()
        assert len(slack.faults.calls("chat.postMessage")) == posts, "the whole workspace waits"
        row = SlackMessage.objects.get(pk=first)
        assert row.next_try_at
        assert 6 <= (row.next_try_at - row.created_at).total_seconds() <= 9
        assert row.attempted_at is None
        slack.later(8)
        slack.settle()
        assert [len(slack.human(name).messages()) for name in ("ada", "bo", "rita")] == [1, 1, 1]

    @pytest.mark.parametrize("fault", ["500", "html"])
    def test_an_error_of_slacks_is_tried_again(self, slack: SlackWorld, fault: str) -> None:
        slack.faults.next("chat.postMessage", fault, times=3)
        slack.ask()
        assert slack.human("ada").messages() == []
        slack.later(120)
        slack.settle()
        assert len(slack.human("ada").messages()) == 1

    def test_one_message_a_second_in_each_channel(
        self, slack: SlackWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "PACE", 600)  # no second passes but by `later`
        slack.world.ask(role=WRITER)
        slack.world.ask(role=READER, ticket=slack.world.tickets["bos"])
        for request in ElevationRequest.objects.all():
            copies.plan(request_id=request.pk)
        for message_id in copies.due():
            delivery.deliver(message_id)
        assert len(slack.human("ada").messages()) == 1
        slack.later(2)
        slack.settle()
        assert len(slack.human("ada").messages()) == 2

    def test_slack_down_for_ten_minutes_leaves_one_message_each_in_its_right_final_state(
        self, slack: SlackWorld
    ) -> None:
        slack.faults.down = True
        writer = slack.ask(role=WRITER)
        slack.ask(role=READER, ticket=slack.world.tickets["bos"])
        bos = slack.world.user("bo")
        assert bos
        third = slack.ask("ada", role=READER, ticket=slack.world.tickets["bos"])
        web = people.signed_in(Client(), slack.world.user("ada"))
        decided = web.post(f"/requests/{writer.pk}/decide/", {"decision": "approve"})
        assert decided.status_code == 200
        for _ in range(10):
            slack.later(60)
            slack.settle()
            slack.tell()
        assert SlackMessage.objects.filter(fate=Fate.POSTED).count() == 0
        assert slack.faults.calls("chat.postMessage") == []
        slack.faults.down = False
        for _ in range(4):
            slack.later(60)
            slack.settle()
            slack.tell()
        shown = {
            name: sorted(
                (text_of(message["blocks"][:1]), "approve" in buttons_of(message["blocks"]))
                for message in slack.human(name).messages()
            )
            for name in ("rita", "ada", "bo")
        }
        done = ("Approved, not yet active: orders-db-writer", False)
        asked, read = "Approval asked: orders-db-reader", True
        assert shown == {
            "rita": [(asked, False), done],
            "ada": sorted([(asked, False), (asked, read), done]),
            "bo": sorted([(asked, read), (asked, read), done]),
        }
        assert slack.state(third) == "PENDING"
        rita = slack.human("rita")
        threads = [
            [text_of(reply["blocks"]) for reply in rita.replies(message)]
            for message in rita.messages()
        ]
        said = [words for thread in threads for words in thread]
        assert len(said) == 1
        assert said[0].startswith("ada approved your request for orders-db-writer")

    def test_a_copy_that_comes_too_late_to_be_of_use_is_dropped(self, slack: SlackWorld) -> None:
        import datetime as dt

        slack.faults.down = True
        request = slack.ask()
        slack.world.decide("ada", request, "deny", comment="No.")
        request.refresh_from_db()
        assert request.closed_at
        ElevationRequest.objects.filter(pk=request.pk).update(
            closed_at=request.closed_at - dt.timedelta(minutes=31)
        )
        slack.faults.down = False
        slack.later(120)
        for message_id in copies.due():
            delivery.deliver(message_id)
        assert {row.fate for row in SlackMessage.objects.all()} == {Fate.DROPPED}
        assert slack.human("ada").messages() == []

    def test_the_very_first_message_of_an_installation_has_its_buttons(
        self, slack: SlackWorld
    ) -> None:
        from approvals.slack.models import SlackInstallation

        SlackInstallation.objects.all().delete()
        request = slack.ask()
        assert "approve" in buttons_of(slack.human("ada").message()["blocks"])
        slack.press("ada", "approve")
        assert slack.state(request) == "APPROVED"

    def test_an_approver_unknown_to_slack_keeps_nobody_else_from_hearing(
        self, slack: SlackWorld
    ) -> None:
        from approvals.slack.models import SlackLink
        from jit.identity.models import User

        SlackLink.objects.filter(user__username="bo").delete()
        User.objects.filter(username="bo").update(email="nobody@elsewhere.invalid")
        slack.ask()
        assert copy_of("bo").fate == Fate.LOST
        assert "not in this Slack workspace" in copy_of("bo").last_error
        assert len(slack.human("ada").messages()) == 1

    def test_a_slow_slack_is_not_waited_for_and_not_posted_to_twice(
        self, slack: SlackWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from approvals.slack import client

        monkeypatch.setattr(client, "TIMEOUT", 1)
        request = slack.world.ask()
        slack.faults.next("chat.postMessage", "slow")
        copies.plan(request_id=request.pk)
        delivery.deliver(copy_of("ada").pk)
        assert copy_of("ada").last_error
        monkeypatch.undo()
        slack.later(120)
        slack.settle()
        assert len(slack.human("ada").messages()) == 1


class TestRedraw:
    def test_two_racing_drawings_never_leave_the_older_one(self, slack: SlackWorld) -> None:
        """A worker that was held up writes its old text last; the copy must not keep it."""
        request = slack.ask()
        pk = copy_of("bo").pk
        copies.plan(request_id=request.pk)
        SlackMessage.objects.update(drawn_digest="")
        slow = copies.claim(pk)
        assert slow is not None
        slack.world.decide("ada", request)
        copies.plan(request_id=request.pk)
        assert copies.claim(pk) is None, "one at a time"
        slack.later(31)
        delivery.deliver(pk)
        assert "Approved" in text_of(slack.human("bo").message()["blocks"])
        delivery._update(slow, channel=slow.copy.channel, ts=slow.copy.ts)
        assert "Approval asked" in text_of(slack.human("bo").message()["blocks"])
        assert copies.drawn(slow, channel=slow.copy.channel, ts=slow.copy.ts) is True
        slack.settle()
        assert "Approved" in text_of(slack.human("bo").message()["blocks"])

    def test_a_change_while_drawing_is_drawn_next(self, slack: SlackWorld) -> None:
        request = slack.ask()
        pk = copy_of("bo").pk
        copies.plan(request_id=request.pk)
        held = copies.claim(pk)
        assert held is not None
        slack.world.decide("ada", request)
        copies.plan(request_id=request.pk)
        assert copies.drawn(held, channel=held.copy.channel, ts=held.copy.ts) is True
        assert copies.claim(pk) is not None

    def test_what_looks_the_same_is_not_sent_again(self, slack: SlackWorld) -> None:
        slack.ask()
        slack.settle()
        slack.settle()
        assert slack.faults.calls("chat.update") == []

    def test_follows_the_grant_to_its_end(self, slack: SlackWorld) -> None:
        from jit.elevation.models import Grant
        from jit.workflow import activate, revoke

        request = slack.ask()
        slack.press("ada", "approve")
        assert "Approved, not yet active" in text_of(slack.human("rita").message()["blocks"])
        grant = Grant.objects.get(request=request)
        activate.activate(grant_id=grant.pk)
        slack.settle()
        message = slack.human("rita").message()
        assert "Active until" in text_of(message["blocks"])
        assert "Active until" in text_of(slack.human("bo").message()["blocks"])
        slack.press("rita", "done")
        revoke.revoke_due()
        slack.settle()
        grant.refresh_from_db()
        assert (grant.state, grant.end_reason) == ("ENDED", "returned")
        assert "Ended it was returned" in text_of(slack.human("rita").message()["blocks"])

    def test_links_to_the_recordings_that_only_some_may_open(self, slack: SlackWorld) -> None:
        from jit.workflow import revoke

        grant = slack.world.grant()
        slack.settle()
        assert buttons_of(slack.human("rita").message()["blocks"]) == ["done", "open"]
        used = grants_in_use.opened(grant)
        Recording.objects.create(
            session=used, began_at=clock.now(), preamble=b"", digest="", head_at=clock.now()
        )
        grants_in_use.closed(used)
        slack.press("rita", "done")
        revoke.revoke_due()
        tasks.watch()
        slack.settle()
        shown = slack.human("rita").message()
        assert buttons_of(shown["blocks"]) == ["open", "recording-1"]
        path = urlsplit(button_of(shown["blocks"], "recording-1")["url"]).path
        for name, status in (("rita", 200), ("udo", 200), ("ada", 404), ("otto", 404)):
            browser = people.signed_in(Client(), slack.world.user(name))
            assert browser.get(path).status_code == status, name

    def test_the_watch_finds_a_change_that_no_task_told_of(self, slack: SlackWorld) -> None:
        request = slack.ask()
        before = copy_of("bo").wanted_version
        tasks.watch()
        assert copy_of("bo").wanted_version == before
        slack.world.decide("ada", request)
        tasks.watch()
        tasks.sweep()
        assert "Approved" in text_of(slack.human("bo").message()["blocks"])

    def test_of_a_request_that_is_not_there_does_nothing(self, slack: SlackWorld) -> None:
        tasks.redraw(str(uuid.uuid4()))

    def test_somebody_elses_done_button_gives_nothing_back(self, slack: SlackWorld) -> None:
        grant = slack.world.grant()
        slack.settle()
        slack.send(slack.human("bo").press("done", slack.human("rita").message()))
        grant.refresh_from_db()
        assert grant.state == "ACTIVE"
        assert slack.outcome() == "NotYours"


class TestPlan:
    def test_writes_to_nobody_who_chose_not_to_hear_of_it(self, slack: SlackWorld) -> None:
        from jit.notifications.models import Preference

        Preference(user=slack.world.user("bo"), kind="asked", channel="slack", wanted=False).save()
        slack.ask()
        assert slack.human("bo").messages() == []
        assert len(slack.human("ada").messages()) == 1

    def test_a_channel_shows_no_words_of_people_and_no_deciding_button(
        self, slack: SlackWorld, settings
    ) -> None:
        channel = slack.workspace.emulator.call("conversations.list")["channels"]
        approvals = next(one["id"] for one in channel if one["name"] == "approvals")
        slack.switch_on(settings, channel=approvals)
        slack.ask(justification="Top secret words")
        newest = slack.workspace.emulator.history(approvals)[0]
        assert buttons_of(newest["blocks"]) == ["open"]
        assert "secret" not in str(newest)

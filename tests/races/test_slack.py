"""Clicks, web forms and programs at one instant: one outcome, however they come in."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.test import Client

from approvals.models import Decision
from approvals.slack import tasks
from approvals.slack.models import SlackPayload
from jit.elevation.models import Grant
from tests.approvals.slack.conftest import (  # noqa: F401 -- fixtures are found by their names
    between,
    emulator,
    response_url,
    slack,
    workspace,
)
from tests.approvals.slack.support import SlackWorld
from tests.races.support import at_once
from tests.support import people


@pytest.mark.usefixtures("transactional_db")
class TestTwentyAtOnce:
    def test_web_api_and_slack_mixed_give_one_transition_and_one_grant(
        self,
        slack: SlackWorld,  # noqa: F811
    ) -> None:
        request = slack.ask()
        names = ("ada", "bo")
        acts: list[Any] = []
        for number in range(20):
            name = names[number % 2]
            user = slack.world.user(name)
            if number % 3 == 0:
                click = slack.human(name).press("approve")
                acts.append(partial(slack.post, click, Client()))
            elif number % 3 == 1:
                browser = people.signed_in(Client(), user)
                path = f"/requests/{request.pk}/decide/"
                acts.append(partial(browser.post, path, {"decision": "approve"}))
            else:
                api = slack.world.api(name)
                path = f"requests/{request.pk}/decisions/"
                acts.append(partial(api.post, path, {"decision": "approve"}))
        answers = at_once(acts)
        assert {answer.status_code for answer in answers} <= {200, 201, 409}, answers
        queued = list(SlackPayload.objects.filter(queued=True).values_list("pk", flat=True))
        assert len(queued) == 7
        at_once([partial(tasks.act, str(pk)) for pk in queued])
        slack.settle()
        assert slack.state(request) == "APPROVED"
        assert Decision.objects.count() == 1
        assert Grant.objects.filter(request=request).count() == 1
        assert not SlackPayload.objects.filter(queued=True, done_at__isnull=True).exists()
        for name in ("ada", "bo", "rita"):
            assert len(slack.human(name).messages()) == 1

    def test_the_same_click_delivered_twenty_times_is_one_decision(
        self,
        slack: SlackWorld,  # noqa: F811
    ) -> None:
        slack.ask()
        click = slack.human("ada").press("approve")
        answers = at_once([partial(slack.post, click, Client()) for _ in range(20)])
        assert {answer.status_code for answer in answers} == {200}
        payload = SlackPayload.objects.get(queued=True)
        at_once([partial(tasks.act, str(payload.pk)) for _ in range(5)])
        assert Decision.objects.count() == 1

    def test_approve_and_deny_at_one_instant_leave_one_order(
        self,
        slack: SlackWorld,  # noqa: F811
    ) -> None:
        request = slack.ask()
        slack.post(slack.human("ada").press("deny"))
        denial = slack.human("ada").submit(comment="No.")
        click = slack.human("bo").press("approve")
        slack.post(click)
        payload = SlackPayload.objects.get(queued=True)
        at_once([partial(slack.post, denial, Client()), partial(tasks.act, str(payload.pk))])
        slack.settle()
        assert Decision.objects.count() == 1
        assert slack.state(request) in {"APPROVED", "DENIED"}
        assert Grant.objects.count() == (1 if request.state == "APPROVED" else 0)

    def test_one_copy_however_many_workers_draw_it(
        self,
        slack: SlackWorld,  # noqa: F811
    ) -> None:
        request = slack.world.ask()
        at_once([partial(tasks.redraw, str(request.pk)) for _ in range(4)])
        at_once([tasks.sweep for _ in range(4)])
        slack.later(60)
        slack.settle()
        for name in ("ada", "bo", "rita"):
            assert len(slack.human(name).messages()) == 1

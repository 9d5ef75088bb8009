"""The demo Slack of `make run`: it starts, everybody is linked, and their messages can be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db.models import F, Value
from django.db.models.functions import Concat

from approvals.slack import copies, delivery
from approvals.slack.models import SlackLink
from jit.identity.models import User
from jit.ops.embedded import demo_slack, ground, slack_people
from jit.ops.embedded.installation import Installation, Place
from tests.standins import slack_emulator
from tests.support.world import World


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[demo_slack.DemoSlack]:
    slack_emulator.install()
    made = demo_slack.DemoSlack(Installation(Place(tmp_path, ground.free_port())))
    child = made.start()
    try:
        child.wait_until(made.answers)
        yield made
    finally:
        child.stop(seconds=5)


def switch_on(settings: LazySettings, demo: demo_slack.DemoSlack) -> None:
    told = demo.environment
    settings.SLACK = {
        "bot_token": told["JIT_SLACK_BOT_TOKEN"],
        "signing_secrets": [told["JIT_SLACK_SIGNING_SECRET"]],
        "api_url": told["JIT_SLACK_API_URL"],
    }


class TestDemoSlack:
    def test_links_everybody_and_shows_what_they_are_asked(
        self, world: World, demo: demo_slack.DemoSlack, settings: Any, tmp_path: Path
    ) -> None:
        switch_on(settings, demo)
        User.objects.update(email=Concat(F("username"), Value("@demo.invalid")))
        for _ in range(2):
            call_command("link_demo_slack")
        linked = set(SlackLink.objects.values_list("user__username", flat=True))
        assert linked == set(demo_slack.PEOPLE)
        request = world.ask(justification="<!channel> *now*")
        for message_id in copies.plan(request_id=request.pk):
            delivery.deliver(message_id)
        notes = demo_slack.notes(tmp_path)
        assert notes is not None
        (message,) = slack_people.Person(notes, "ada").messages()
        shown = slack_people.drawn(message)
        assert "> <!channel> *now*" in shown
        assert "[Approve for 10 min: approve]" in shown
        with pytest.raises(slack_people.Refused, match="no message to rita"):
            slack_people.Person(notes, "rita").press("done")
        with pytest.raises(slack_people.Refused, match="nobody is called"):
            slack_people.Person(notes, "zed")

    def test_links_everybody_anew_after_a_restart(
        self, world: World, demo: demo_slack.DemoSlack, settings: Any
    ) -> None:
        switch_on(settings, demo)
        User.objects.update(email=Concat(F("username"), Value("@demo.invalid")))
        call_command("link_demo_slack")
        before = set(SlackLink.objects.values_list("slack_user_id", flat=True))
        demo.child.stop()
        demo.start().wait_until(demo.answers)
        call_command("link_demo_slack")
        after = set(SlackLink.objects.values_list("slack_user_id", flat=True))
        assert len(after) == len(demo_slack.PEOPLE)
        assert not before & after

    def test_keeps_its_secrets_to_their_owner(
        self, demo: demo_slack.DemoSlack, tmp_path: Path
    ) -> None:
        for name in (demo_slack.NOTES, "demo-slack-seed.json"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
        assert demo.environment["JIT_SLACK_SIGNING_SECRET"] in json.dumps(
            demo_slack.notes(tmp_path)
        )


class TestLinking:
    def test_is_refused_at_a_real_slack(self, world: World, settings: Any) -> None:
        settings.SLACK = {"bot_token": "xoxb-real", "api_url": "https://slack.com/api/"}
        with pytest.raises(CommandError, match="each person links their own account"):
            call_command("link_demo_slack")
        assert not SlackLink.objects.exists()

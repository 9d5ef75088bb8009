from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client

from approvals.slack import manifest
from approvals.slack.models import SlackInstallation
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import text_of
from tests.support import people


@pytest.fixture
def opal(slack: SlackWorld) -> Client:
    return people.signed_in(Client(), slack.world.user("opal"))


class TestTheSetUpPage:
    def test_is_for_operators(self, slack: SlackWorld) -> None:
        rita = people.signed_in(Client(), slack.world.user("rita"))
        assert rita.get("/operations/slack/").status_code == 403

    def test_names_what_is_missing(self, slack: SlackWorld, opal: Client) -> None:
        slack.faults.headers = {"X-OAuth-Scopes": "chat:write,commands,users:read"}
        page = opal.get("/operations/slack/").content.decode()
        assert "opens Orders" in page
        assert "missing: im:history, im:write, users:read.email" in page
        assert "nothing came yet" in page

    def test_sees_that_everything_is_there(self, slack: SlackWorld, opal: Client) -> None:
        slack.faults.headers = {"X-OAuth-Scopes": ", ".join(manifest.SCOPES)}
        slack.post(slack.human("opal").command("help"))
        page = opal.get("/operations/slack/").content.decode()
        assert "all that are needed" in page
        assert "last fitted at" in page

    def test_sees_a_signing_secret_that_does_not_fit(self, slack: SlackWorld, opal: Client) -> None:
        signed = slack.workspace.sign("/slack/commands/", b"text=help", secret="another")
        assert slack.post(signed).status_code == 401
        assert "a request did not fit" in opal.get("/operations/slack/").content.decode()

    def test_a_token_that_slack_refuses(self, slack: SlackWorld, opal: Client) -> None:
        slack.faults.next("auth.test", "500")
        assert "does not take it" in opal.get("/operations/slack/").content.decode()

    def test_posts_a_test_message(self, slack: SlackWorld, opal: Client) -> None:
        opal.post("/operations/slack/test/")
        assert "posting works" in text_of(slack.human("opal").message()["blocks"])

    def test_says_why_no_test_message_came(self, slack: SlackWorld, opal: Client) -> None:
        slack.faults.next("chat.postMessage", "500")
        page = opal.post("/operations/slack/test/")
        assert page.status_code == 422
        assert "Slack did not take it" in page.content.decode()

    def test_without_slack_says_what_to_set(self, world: Any) -> None:
        opal = people.signed_in(Client(), world.user("opal"))
        assert "JIT_SLACK_BOT_TOKEN_FILE" in opal.get("/operations/slack/").content.decode()


class TestLearn:
    def test_remembers_workspace_and_app(self, slack: SlackWorld) -> None:
        found = SlackInstallation.objects.get()
        assert (found.team_id, found.app_id) == ("T000000001", "A000000001")


class TestManifest:
    PATH = Path(django_settings.BASE_DIR) / "deploy" / "slack-manifest.yaml"

    def test_the_committed_file_is_what_the_code_says(self) -> None:
        assert self.PATH.read_text(encoding="utf-8") == manifest.as_yaml(), (
            "run: manage.py slack_manifest --write"
        )

    def test_is_complete_and_within_slacks_limits(self) -> None:
        found = yaml.safe_load(self.PATH.read_text(encoding="utf-8"))
        about = found["display_information"]
        assert len(about["name"]) <= 35
        assert len(about["description"]) <= 140
        command = found["features"]["slash_commands"][0]
        assert command["command"] == "/jit"
        assert len(command["description"]) <= 2000
        assert command["should_escape"] is True
        assert set(found["oauth_config"]["scopes"]["bot"]) == set(manifest.SCOPES)
        assert "chat:write.public" not in manifest.SCOPES

    def test_its_addresses_are_ours(self) -> None:
        from django.urls import resolve

        found = manifest.manifest(base_url="https://jit.corp.example")
        urls = [
            found["settings"]["interactivity"]["request_url"],
            found["settings"]["interactivity"]["message_menu_options_url"],
            found["settings"]["event_subscriptions"]["request_url"],
            found["features"]["slash_commands"][0]["url"],
        ]
        for url in urls:
            assert resolve(url.removeprefix("https://jit.corp.example")).func is not None

    def test_socket_mode_has_no_address(self) -> None:
        assert "https://" not in manifest.as_yaml(socket_mode=True).split("\n", 2)[2]

    def test_the_command_prints_it_for_this_installation(self, capsys: Any) -> None:
        call_command("slack_manifest")
        assert django_settings.BASE_URL in capsys.readouterr().out

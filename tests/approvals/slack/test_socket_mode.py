from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.management import CommandError, call_command
from slack_sdk.socket_mode.request import SocketModeRequest

from approvals.models import Decision
from approvals.slack import socket_mode
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import Signed, text_of


def envelope(signed: Signed, kind: str = "interactive", envelope_id: str = "") -> SocketModeRequest:
    """Return what Slack would send over the socket in place of the signed request."""
    form = {name: values[0] for name, values in parse_qs(signed.body.decode()).items()}
    payload: dict[str, Any] = json.loads(form["payload"]) if "payload" in form else form
    return SocketModeRequest(
        type=kind, envelope_id=envelope_id or str(uuid.uuid4()), payload=payload
    )


class TestAnswer:
    def test_a_click_counts_as_by_http(self, slack: SlackWorld) -> None:
        request = slack.ask()
        assert socket_mode.answer(envelope(slack.human("ada").press("approve"))) == {}
        slack.settle()
        assert slack.state(request) == "APPROVED"

    def test_a_redelivered_envelope_counts_once(self, slack: SlackWorld) -> None:
        slack.ask()
        sent = envelope(slack.human("ada").press("approve"))
        socket_mode.answer(sent)
        socket_mode.answer(sent)
        slack.settle()
        assert Decision.objects.count() == 1
        assert slack.workspace.replies.said == []

    def test_a_modals_errors_are_in_the_answer(self, slack: SlackWorld) -> None:
        slack.ask()
        socket_mode.answer(envelope(slack.human("ada").press("deny")))
        answer = socket_mode.answer(envelope(slack.human("ada").submit()))
        assert answer["response_action"] == "errors"

    def test_a_command_is_answered(self, slack: SlackWorld) -> None:
        answer = socket_mode.answer(
            envelope(slack.human("rita").command("my"), kind="slash_commands")
        )
        assert "hold nothing" in text_of(answer["blocks"])

    def test_what_is_unknown_is_acknowledged(self, slack: SlackWorld) -> None:
        odd = SocketModeRequest(type="hello", envelope_id="1", payload={})
        assert socket_mode.answer(odd) == {}


class TestRun:
    def test_without_an_app_token_says_what_to_set(self, door: SlackWorld) -> None:
        with pytest.raises(CommandError, match="JIT_SLACK_APP_TOKEN_FILE"):
            call_command("run_slack_socket")

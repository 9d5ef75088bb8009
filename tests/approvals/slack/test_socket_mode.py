from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.core.management import CommandError, call_command
from slack_sdk.socket_mode.request import SocketModeRequest

from approvals.models import Decision
from approvals.slack import socket_mode
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import Signed, text_of
from tests.standins.slack_socket_fake import FakeSocketMode


def envelope(signed: Signed, kind: str = "interactive", envelope_id: str = "") -> SocketModeRequest:
    """Return what Slack would send over the socket in place of the signed request."""
    form = {name: values[0] for name, values in parse_qs(signed.body.decode()).items()}
    payload: dict[str, Any] = json.loads(form["payload"]) if "payload" in form else form
    return SocketModeRequest(
        type=kind, envelope_id=envelope_id or str(uuid.uuid4()), payload=payload
    )


def payload_of(signed: Signed) -> dict[str, Any]:
    found: dict[str, Any] = envelope(signed).payload
    return found


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


@pytest.mark.django_db(transaction=True)
class TestOverAWebsocket:
    """Through a real websocket, to a fake of ours that speaks Slack's envelopes."""

    @pytest.fixture
    def socket(self, slack: SlackWorld, settings: Any) -> Iterator[FakeSocketMode]:
        fake = FakeSocketMode()
        slack.faults.answers["apps.connections.open"] = {"ok": True, "url": fake.url}
        settings.SLACK = {**settings.SLACK, "app_token": "xapp-of-the-tests"}
        connection = socket_mode.connect()
        try:
            fake.wait_for_a_connection()
            yield fake
        finally:
            connection.close()
            fake.stop()

    def test_a_click_counts_once_however_often_it_is_delivered(
        self, slack: SlackWorld, socket: FakeSocketMode
    ) -> None:
        request = slack.ask()
        click = slack.human("ada").click("approve")
        for again in range(2):
            ack = socket.deliver("interactive", click, envelope_id="e-1", again=again)
            assert ack == {"envelope_id": "e-1"}
        slack.settle()
        assert slack.state(request) == "APPROVED"
        assert Decision.objects.count() == 1
        assert slack.workspace.replies.said == []

    def test_modals_commands_and_events_are_answered_by_envelope(
        self, slack: SlackWorld, socket: FakeSocketMode
    ) -> None:
        request = slack.ask()
        socket.deliver("interactive", slack.human("ada").click("deny"))
        submitted = payload_of(slack.human("ada").submit())
        ack = socket.deliver("interactive", submitted)
        assert ack["payload"]["response_action"] == "errors"
        submitted = payload_of(slack.human("ada").submit(comment="Not tonight."))
        socket.deliver("interactive", submitted)
        assert slack.state(request) == "DENIED"
        ack = socket.deliver("slash_commands", payload_of(slack.human("rita").command("my")))
        assert "hold nothing" in text_of(ack["payload"]["blocks"])
        event = json.loads(slack.human("rita").opens_home().body)
        assert "payload" not in socket.deliver("events_api", event)
        assert "payload" not in socket.deliver("events_api", event, again=1)
        slack.settle()
        assert len(slack.faults.calls("views.publish")) == 1

    def test_connects_again_when_slack_asks_and_does_once_what_comes_again(
        self, slack: SlackWorld, socket: FakeSocketMode
    ) -> None:
        request = slack.ask()
        click = slack.human("ada").click("approve")
        socket.deliver("interactive", click, envelope_id="e-2")
        socket.refresh()
        assert len(socket.connections) == 2
        socket.deliver("interactive", click, envelope_id="e-2", again=1)
        slack.settle()
        assert slack.state(request) == "APPROVED"
        assert Decision.objects.count() == 1

    def test_connects_again_when_the_line_is_cut_in_mid_message(
        self, slack: SlackWorld, socket: FakeSocketMode
    ) -> None:
        """Nobody said goodbye: what was acknowledged counts once, what comes after counts."""
        first, second = slack.ask(), slack.ask("bo", ticket=slack.world.tickets["bos"])
        before, after = (
            next(m for m in slack.human("ada").messages() if name in text_of(m["blocks"]))
            for name in ("rita", "bo")
        )
        click = slack.human("ada").click("approve", before)
        socket.deliver("interactive", click, envelope_id="e-3")
        socket.cut()
        socket.wait_for_a_connection()
        socket.deliver("interactive", click, envelope_id="e-3", again=1)
        later = slack.human("ada").click("approve", after)
        for again in range(2):
            socket.deliver("interactive", later, envelope_id="e-4", again=again)
        slack.settle()
        assert (slack.state(first), slack.state(second)) == ("APPROVED", "APPROVED")
        assert Decision.objects.count() == 2


class TestRun:
    def test_without_an_app_token_says_what_to_set(self, door: SlackWorld) -> None:
        with pytest.raises(CommandError, match="JIT_SLACK_APP_TOKEN_FILE"):
            call_command("run_slack_socket")

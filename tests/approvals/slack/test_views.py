from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from approvals.models import Decision
from approvals.slack import signature
from jit.kernel import clock
from tests.approvals.slack.support import SlackWorld
from tests.standins.slack_human import Signed

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


class TestCheck:
    def test_accepts_the_documented_example(self) -> None:
        import datetime as dt

        body = (
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
            b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
            b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
            b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
            b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
        )
        signature.check(
            body=body,
            timestamp="1531420618",
            signature="v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            secrets=[SECRET],
            now=dt.datetime.fromtimestamp(1531420618, dt.UTC),
        )

    def test_accepts_the_old_secret_during_a_rotation(self, workspace: Any) -> None:
        signed = workspace.sign("/x", b"a=b", secret="old")
        signature.check(
            body=b"a=b",
            timestamp=signed.headers["X-Slack-Request-Timestamp"],
            signature=signed.headers["X-Slack-Signature"],
            secrets=["new", "old"],
            now=clock.now(),
        )

    def test_without_a_secret_nobody_comes_in(self) -> None:
        with pytest.raises(signature.BadSignature, match="no signing secret"):
            signature.check(body=b"", timestamp="1", signature="v0=", secrets=[], now=clock.now())


class TestInteractivity:
    @pytest.mark.parametrize(
        "stamp",
        ["abc", "1.5", "", "-5", "१२३", "9" * 40, "1e9", "inf", " 1"],
        ids=["junk", "float", "none", "minus", "digits", "huge", "exponent", "inf", "space"],
    )
    def test_a_junk_timestamp_is_401(self, door: SlackWorld, stamp: str) -> None:
        signed = door.workspace.sign("/slack/interactivity/", b"payload={}")
        signed.headers["X-Slack-Request-Timestamp"] = stamp.encode().decode("latin-1")
        assert door.post(signed).status_code == 401

    @pytest.mark.parametrize(
        "given", ["", "v0=", "v0=zz", "v1=abc", "v0=\xe9\xe8", "v0=" + "0" * 64]
    )
    def test_a_bad_signature_is_401(self, door: SlackWorld, given: str) -> None:
        signed = door.workspace.sign("/slack/interactivity/", b"payload={}")
        signed.headers["X-Slack-Signature"] = given
        assert door.post(signed).status_code == 401

    def test_a_body_that_is_no_utf8_is_401(self, door: SlackWorld) -> None:
        signed = door.workspace.sign("/slack/interactivity/", b"payload={}")
        answer = door.post(Signed(signed.path, b"\xff\xfe\xfa", signed.headers))
        assert answer.status_code == 401

    @pytest.mark.parametrize("seconds", [-301, -86400, 301])
    def test_an_old_or_future_request_is_401(self, door: SlackWorld, seconds: int) -> None:
        signed = door.workspace.sign(
            "/slack/interactivity/", b"payload={}", at=time.time() + seconds
        )
        assert door.post(signed).status_code == 401

    def test_another_secret_is_401(self, door: SlackWorld) -> None:
        signed = door.workspace.sign("/slack/interactivity/", b"payload={}", secret="wrong")
        assert door.post(signed).status_code == 401

    def test_an_altered_body_is_401(self, slack: SlackWorld) -> None:
        slack.ask()
        signed = slack.human("ada").press("approve")
        altered = Signed(signed.path, signed.body.replace(b"approve", b"approvf"), signed.headers)
        assert slack.post(altered).status_code == 401
        assert not Decision.objects.exists()

    def test_a_get_changes_nothing(self, door: SlackWorld) -> None:
        for path in ("interactivity", "commands", "events"):
            assert door.client.get(f"/slack/{path}/").status_code == 405

    def test_a_body_too_large_is_413(self, door: SlackWorld) -> None:
        signed = door.workspace.sign("/slack/interactivity/", b"payload=" + b"x" * 300_000)
        assert door.post(signed).status_code == 413

    @pytest.mark.parametrize(
        "payload",
        [
            "",
            "null",
            "[]",
            '"x"',
            "{",
            "{}",
            '{"type": "block_actions"}',
            '{"type": "block_actions", "actions": [null]}',
            '{"type": "block_actions", "actions": {"a": 1}, "user": 5}',
            '{"type": "block_actions", "actions": [{"action_id": 5}], "user": [], "team": null}',
            '{"type": "block_actions", "actions": [{"action_id": "approve", "value": {}}]}',
            '{"type": "view_submission", "view": null}',
            '{"type": "view_submission", "view": {"callback_id": "deny", "state": []}}',
            '{"type": "view_submission", "view": {"callback_id": "request"}}',
            '{"type": "block_suggestion", "value": {"x": 1}}',
            '{"type": "never heard of"}',
            '{"type": ["block_actions"]}',
        ],
    )
    def test_a_signed_oddity_is_200_never_500(self, door: SlackWorld, payload: str) -> None:
        body = urlencode({"payload": payload}).encode()
        answer = door.post(door.workspace.sign("/slack/interactivity/", body))
        assert answer.status_code == 200
        door.settle()

    def test_a_nul_in_a_payload_is_no_500(self, slack: SlackWorld) -> None:
        slack.ask()
        payload = slack.human("ada").click("approve")
        payload["actions"][0]["value"] = "a\0b"
        payload["user"]["id"] = "U\0"
        assert slack.post(slack.human("ada").press_payload(payload)).status_code == 200
        slack.settle()

    def test_is_not_there_where_slack_is_off(self, db: None) -> None:
        assert Client().post("/slack/interactivity/").status_code == 404

    def test_no_cookie_counts(self, slack: SlackWorld) -> None:
        from tests.support import people

        client = people.signed_in(Client(enforce_csrf_checks=True), slack.world.user("ada"))
        answer = client.post(
            "/slack/interactivity/", {"payload": json.dumps({"type": "block_actions"})}
        )
        assert answer.status_code == 401


class TestEvents:
    def test_answers_slacks_challenge(self, door: SlackWorld) -> None:
        body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
        signed = door.workspace.sign("/slack/events/", body, content_type="application/json")
        assert door.post(signed).json() == {"challenge": "abc"}

    def test_a_redelivered_event_is_acted_on_once(self, door: SlackWorld) -> None:
        event = {"type": "app_home_opened", "user": door.human("ada").id, "tab": "home"}
        for _ in range(3):
            door.send(door.human("ada").event(event, event_id="Ev1"))
        assert len(door.faults.calls("views.publish")) == 1

    @pytest.mark.parametrize("event", [None, [], "x", {}, {"type": "user_change", "user": "U1"}])
    def test_an_odd_event_is_200(self, door: SlackWorld, event: Any) -> None:
        assert door.send(door.human("ada").event(event)).status_code == 200

    def test_a_leaver_in_slack_is_refused_from_then_on(self, slack: SlackWorld) -> None:
        request = slack.ask()
        message = slack.human("ada").message()
        user = {"id": slack.human("ada").id, "team_id": "T000000001", "deleted": True}
        slack.send(slack.human("bo").event({"type": "user_change", "user": user}))
        slack.send(slack.human("ada").press("approve", message))
        assert slack.state(request) == "PENDING"
        assert slack.outcome() == "SlackAccountDeleted"


class TestHint:
    def test_sends_one_task_and_holds_no_database_connection(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The thread that sends it lives on: a connection it opened would never go back."""
        import threading

        from django.db import connections

        from approvals.slack import payloads
        from jit.celery import app

        sent: list[str] = []
        held: list[bool] = []
        monkeypatch.setattr(app, "send_task", lambda name, **_more: sent.append(name))

        def work() -> None:
            payloads.hint()
            held.append(connections["default"].connection is not None)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
        assert sent == ["approvals.slack.act_due"]
        assert held == [False]

    def test_act_due_hands_out_what_waits(self, slack: SlackWorld) -> None:
        from approvals.slack import payloads, tasks

        slack.ask()
        slack.post(slack.human("ada").press("approve"))
        assert len(payloads.due()) == 1
        tasks.act_due()
        slack.settle()
        assert payloads.due() == []
        assert Decision.objects.count() == 1

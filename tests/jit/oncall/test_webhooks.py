from __future__ import annotations

import hashlib
import hmac
import json
import logging
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from jit.kernel import clock, tasks
from jit.oncall import queries, webhooks
from tests.standins.on_call_fake import SERVICE, FakeOnCall
from tests.support import people

PATH = "/hooks/pagerduty/"
SECRET, OLD = "the-secret-of-the-subscription", "the-secret-before"


def event(event_id: str = "01ABC", **about: Any) -> bytes:
    """Return a v3 webhook as PagerDuty writes it (docs/webhooks/01-Overview of its own docs)."""
    return json.dumps(
        {
            "event": {
                "id": event_id,
                "event_type": "incident.acknowledged",
                "resource_type": "incident",
                "occurred_at": "2026-01-01T10:00:00.000Z",
                "agent": {"id": "PADA001", "type": "user_reference"},
                "client": None,
                "data": {
                    "id": "PINCID1",
                    "type": "incident",
                    "status": "acknowledged",
                    "service": {"id": SERVICE, "type": "service_reference"},
                    **about,
                },
            }
        }
    ).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def send(body: bytes, header: str | None) -> int:
    headers = {} if header is None else {"X-PagerDuty-Signature": header}
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.post(PATH, body, content_type="application/json", headers=headers).status_code


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "enqueue_on_commit", lambda *args: found.append(args))
    return found


@pytest.fixture
def door(connected: FakeOnCall, settings: Any) -> Any:
    settings.ONCALL_WEBHOOK_SECRETS = [SECRET, OLD]
    settings.ONCALL_CHANGED_TASKS = ["somebody.listens"]
    return connected


class TestSignature:
    def test_lets_in_what_pagerduty_signed(self, door: Any, sent: list[Any]) -> None:
        assert send(event(), signature(event())) == 202
        assert sent == [("somebody.listens", "payments")]

    def test_matches_the_algorithm_that_pagerduty_publishes(self) -> None:
        """RFC 4231, test case 2, stands in for an example of theirs: HMAC-SHA256 in hex."""
        mac = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        body = b"what do ya want for nothing?"
        assert webhooks.is_signed(body=body, header=f"v1={mac}", secrets=["Jefe"])

    def test_takes_any_of_several(self, door: Any, sent: list[Any]) -> None:
        body = event()
        header = f"v1={'0' * 64}, {signature(body)},v2=abc"
        assert send(body, header) == 202
        assert len(sent) == 1

    def test_takes_the_secret_before_while_it_is_changed(self, door: Any) -> None:
        assert send(event(), signature(event(), OLD)) == 202

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "v1=",
            "v1=" + "0" * 64,
            "v1=é" + "0" * 63,
            "v0=" + signature(event())[3:],
            signature(event())[3:],
            signature(event(), "another secret"),
            signature(event("02")),
            signature(event()).upper(),
            "v1=0," * 20 + signature(event()),
        ],
    )
    def test_refuses_every_other(
        self, door: Any, sent: list[Any], header: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert send(event(), header) == 401
        assert sent == []
        assert "did not sign" in caplog.text

    def test_is_that_of_the_bytes(self, door: Any) -> None:
        body = event()
        assert send(body.replace(b'": "', b'":"'), signature(body)) == 401

    def test_there_is_no_door_without_a_secret(self, connected: FakeOnCall) -> None:
        assert send(event(), signature(event(), "")) == 404
        assert not webhooks.is_signed(body=event(), header=signature(event(), ""), secrets=[])

    def test_only_posts_are_taken(self, door: Any) -> None:
        assert Client().get(PATH).status_code == 405


class TestTake:
    def test_a_second_delivery_is_answered_and_does_nothing(
        self, door: Any, sent: list[Any]
    ) -> None:
        body = event("the-same")
        assert [send(body, signature(body)) for _ in range(3)] == [202, 202, 202]
        assert len(sent) == 1

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"no json",
            b"[]",
            b"{}",
            b'{"event": null}',
            b'{"event": {"id": null}}',
            b'{"event": {"id": "1", "data": []}}',
            b'{"event": {"id": "1", "data": {"service": {"id": ["x"]}}}}',
            b"\xff\xfe",
            b"[" * 50_000,
        ],
    )
    def test_whatever_is_signed_is_answered_with_yes(
        self, door: Any, sent: list[Any], body: bytes
    ) -> None:
        """Three other answers, and PagerDuty stops sending for a day."""
        assert send(body, signature(body)) == 202
        assert sent == []

    def test_services_of_others_are_passed_over(self, door: Any, sent: list[Any]) -> None:
        body = event(service={"id": "POTHER1"})
        assert send(body, signature(body)) == 202
        assert sent == []

    def test_hears_of_the_policy_and_of_the_service_itself(
        self, door: Any, sent: list[Any]
    ) -> None:
        for number, about in enumerate(
            (
                {"service": None, "escalation_policy": {"id": "PPOLICY1"}},
                {"service": None, "id": SERVICE, "type": "service"},
            )
        ):
            body = event(f"n{number}", **about)
            assert send(body, signature(body)) == 202
        assert len(sent) == 2

    @pytest.mark.django_db
    def test_believes_nothing_that_it_says(self, door: FakeOnCall) -> None:
        """It says ada acknowledged; we look ourselves, and PagerDuty says that nobody did."""
        ada = people.person("ada", email="ada@example.com")
        now = clock.now()
        assert queries.standing(ada, now=now, fresh=False).acknowledged_for == ()
        body = event("lie", acknowledgements=[{"acknowledger": {"email": "ada@example.com"}}])
        assert send(body, signature(body)) == 202
        assert queries.standing(ada, now=now, fresh=False).acknowledged_for == ()
        door.acknowledges("ada@example.com")
        body = event("truth")
        assert send(body, signature(body)) == 202
        assert queries.standing(ada, now=now, fresh=False).acknowledged_for == ("payments",)

    def test_looks_again_when_nobody_remembers(
        self, door: Any, sent: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_args: Any) -> None:
            raise ConnectionError("the cache is gone")

        monkeypatch.setattr(cache, "add", down)
        for _ in range(2):
            assert webhooks.take(event()) == "looked again"
        assert len(sent) == 2

    def test_a_failure_of_ours_is_logged_and_answered_with_yes(
        self, door: Any, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.ONCALL_SERVICES = ["broken"]
        with caplog.at_level(logging.ERROR, "jit.oncall.webhooks"):
            assert send(event("late"), signature(event("late"))) == 202
        assert "could not be followed" in caplog.text

    def test_is_bounded_in_size(self, door: Any) -> None:
        assert send(b"x" * (256 * 1024 + 1), "v1=0") == 413

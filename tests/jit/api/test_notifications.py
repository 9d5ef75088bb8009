from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import LazySettings
from standardwebhooks.webhooks import Webhook as Verifier

from jit.notifications import delivering
from jit.notifications.models import Notification
from tests.support.receivers import webhook_receiver
from tests.support.world import World


def call(world: World, who: str, method: str, path: str, body: Any = None) -> Any:
    api = world.api(who)
    return getattr(api.client, method)(
        f"/api/v1/{path}",
        json.dumps(body if body is not None else {}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.token}"},
    )


class TestNotifications:
    def test_the_asked_find_it_in_their_inbox_until_they_read_it(self, world: World) -> None:
        request = world.ask()
        found = world.api("ada").get("notifications/").json()
        assert found["unread"] == 1
        assert found["items"][0]["title"] == (
            "rita asks for orders-db-writer: your decision is needed"
        )
        assert found["items"][0]["link"].endswith(f"/requests/{request.pk}/")
        assert world.api("rita").get("notifications/").json()["items"] == []
        assert world.api("otto").get("notifications/").json()["items"] == []
        marked = world.api("ada").post("notifications/read/", {"ids": [found["items"][0]["id"]]})
        assert marked.json() == {"marked": 1, "unread": 0}
        assert world.api("ada").get("notifications/", unread="true").json()["items"] == []
        assert len(world.api("ada").get("notifications/").json()["items"]) == 1

    def test_nobody_marks_or_reads_what_is_others(self, world: World) -> None:
        world.ask()
        hers = str(Notification.objects.get(recipient__username="ada", channel="in_app").pk)
        assert world.api("otto").post("notifications/read/", {"ids": [hers]}).json()["marked"] == 0
        assert world.api("otto").post("notifications/read/", {}).json()["marked"] == 0
        assert world.api("ada").get("notifications/").json()["unread"] == 1

    @pytest.mark.parametrize("ids", ["x", ["x"], {"a": 1}])
    def test_malformed_ids_are_refused(self, world: World, ids: Any) -> None:
        assert world.api("ada").post("notifications/read/", {"ids": ids}).status_code == 400


class TestPreferences:
    def test_are_kept_and_shown(self, world: World, settings: LazySettings) -> None:
        settings.NOTIFICATION_CHANNELS = {
            **settings.NOTIFICATION_CHANNELS,
            "email": "jit.notifications.channels.email.Email",
        }
        answer = call(
            world,
            "ada",
            "put",
            "notifications/preferences/",
            {"preferences": {"asked": {"email": False}}},
        )
        assert answer.status_code == 200, answer.content
        shown = world.api("ada").get("notifications/preferences/").json()["preferences"]
        assert shown["asked"] == {"in_app": True, "email": False}
        assert shown["decided"] == {"in_app": True, "email": True}
        world.ask()
        mails = Notification.objects.filter(channel="email")
        assert [str(row.recipient) for row in mails] == ["bo"]

    @pytest.mark.parametrize(
        ("preferences", "status"),
        [
            ({"asked": {"in_app": False}}, 422),
            ({"asked": {"fax": True}}, 422),
            ({"x": {"in_app": True}}, 422),
            ([], 400),
            (1, 400),
        ],
    )
    def test_refuse_what_there_is_not(self, world: World, preferences: Any, status: int) -> None:
        answer = call(
            world, "ada", "put", "notifications/preferences/", {"preferences": preferences}
        )
        assert answer.status_code == status
        assert answer["Content-Type"].startswith("application/problem+json")


class TestDeliveries:
    def test_are_shown_with_the_request(self, world: World) -> None:
        request = world.ask()
        items = world.api("rita").get(f"requests/{request.pk}/deliveries/").json()["items"]
        assert {(item["to"], item["kind"], item["channel"]) for item in items} == {
            ("ada", "asked", "in_app"),
            ("bo", "asked", "in_app"),
            (request.ticket_key, "asked", "ticket"),
        }
        assert all(item["arrived"] for item in items if item["channel"] == "in_app")

    def test_are_not_for_strangers(self, world: World) -> None:
        request = world.ask()
        answer = world.api("otto").get(f"requests/{request.pk}/deliveries/")
        assert answer.status_code == 404


class TestWebhooks:
    def test_an_operator_makes_one_and_its_receiver_verifies(
        self, world: World, settings: LazySettings
    ) -> None:
        settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
        opal = world.api("opal")
        with webhook_receiver() as receiver:
            made = opal.post("webhooks/", {"name": "siem", "url": receiver.url, "kinds": ["asked"]})
            assert made.status_code == 201, made.content
            secret, path = made.json()["secret"], f"webhooks/{made.json()['id']}/"
            assert "secret" not in opal.get(path).json()
            assert opal.post(f"{path}test/").status_code == 202
            world.ask()
            assert delivering.deliver_lane(f"webhook:{made.json()['id']}") == 2
            types = [
                Verifier(secret).verify(got.body, got.headers)["type"] for got in receiver.received
            ]
            assert sorted(types) == ["jit.asked", "jit.test"]
            found = opal.get(f"{path}deliveries/").json()["items"]
            assert {item["outcome"] for item in found} == {"DELIVERED"}
            assert opal.post(f"{path}secret/").json()["secret"] != secret
            changed = call(world, "opal", "patch", path, {"enabled": False})
            assert changed.json()["enabled"] is False
            assert opal.post(f"{path}test/").status_code == 409
            assert call(world, "opal", "delete", path).status_code == 204
            assert opal.get(path).status_code == 404
            assert opal.get("webhooks/").json()["items"] == []

    @pytest.mark.parametrize("who", ["rita", "ada", "olga", "udo", "otto"])
    def test_are_for_who_may_manage_them(self, world: World, who: str) -> None:
        body = {"name": "mine", "url": "https://example.com/"}
        assert world.api(who).get("webhooks/").status_code == 403
        assert world.api(who).post("webhooks/", body).status_code == 403

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            ({"url": "http://169.254.169.254/"}, 422),
            ({"url": "https://10.0.0.1/"}, 422),
            ({"url": "file:///etc/passwd"}, 422),
            ({"kinds": ["nonsense"]}, 400),
            ({"name": ""}, 400),
        ],
    )
    def test_refuse_what_must_not_be(
        self, world: World, wrong: dict[str, Any], status: int
    ) -> None:
        body = {"name": "siem", "url": "https://example.com/"} | wrong
        answer = world.api("opal").post("webhooks/", body)
        assert answer.status_code == status
        assert any(name.partition(".")[0] in wrong for name in answer.json()["errors"])

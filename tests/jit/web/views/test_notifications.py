from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from jit.notifications import delivering, queries
from jit.notifications.models import Notification
from jit.workflow import lapse, tell
from tests.support import people
from tests.support.world import ADMIN, World


def browser(world: World, who: str) -> Client:
    return people.signed_in(Client(), world.user(who))


@pytest.fixture
def asked(world: World, settings: LazySettings) -> Any:
    settings.NOTIFICATION_CHANNELS = {
        **settings.NOTIFICATION_CHANNELS,
        "email": "jit.notifications.channels.email.Email",
    }
    return world.ask(justification="<script>alert(1)</script>")


class TestInbox:
    def test_lists_what_one_is_told(self, world: World, asked: Any) -> None:
        page = browser(world, "ada").get("/notifications/").content.decode()
        assert "rita asks for orders-db-writer: your decision is needed" in page
        assert "1 unread" in page
        assert "<script>alert" not in page

    def test_is_empty_for_a_stranger(self, world: World, asked: Any) -> None:
        page = browser(world, "otto").get("/notifications/").content.decode()
        assert "Nothing to tell you." in page
        assert "rita asks" not in page

    def test_wants_a_sign_in(self, world: World) -> None:
        assert Client().get("/notifications/").status_code == 302

    def test_goes_on_where_a_page_ends(self, world: World, asked: Any) -> None:
        answer = browser(world, "ada").get("/notifications/", headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert b"<html" not in answer.content


class TestRead:
    def test_marks_one(self, world: World, asked: Any) -> None:
        row = Notification.objects.get(channel="in_app", recipient__username="ada")
        answer = browser(world, "ada").post("/notifications/read/", {"id": row.pk})
        assert answer["Location"] == "/notifications/"
        assert queries.unread_count(world.user("ada")) == 0

    def test_looking_at_the_request_marks_what_was_told_of_it(
        self, world: World, asked: Any
    ) -> None:
        ada = browser(world, "ada")
        address = f"/requests/{asked.pk}/"
        assert f'href="{address}"' in ada.get("/notifications/").content.decode()
        ada.get(address)
        assert queries.unread_count(world.user("ada")) == 0
        assert queries.unread_count(world.user("bo")) == 1

    def test_marks_all(self, world: World, asked: Any) -> None:
        assert browser(world, "ada").post("/notifications/read/").status_code == 302
        assert queries.unread_count(world.user("ada")) == 0

    def test_marks_nothing_of_others(self, world: World, asked: Any) -> None:
        row = Notification.objects.get(channel="in_app", recipient__username="ada")
        browser(world, "otto").post("/notifications/read/", {"id": row.pk})
        assert queries.unread_count(world.user("ada")) == 1

    def test_refuses_what_is_no_id(self, world: World) -> None:
        assert browser(world, "ada").post("/notifications/read/", {"id": "x"}).status_code == 400

    def test_looking_marks_nothing(self, world: World, asked: Any) -> None:
        assert browser(world, "ada").get("/notifications/read/").status_code == 405
        browser(world, "ada").get("/notifications/")
        assert queries.unread_count(world.user("ada")) == 1


class TestBell:
    def test_tells_what_waits(self, world: World, asked: Any) -> None:
        bell = browser(world, "ada").get("/notifications/bell/").content.decode()
        assert 'data-asks="1" data-unread="1" data-total="1"' in bell
        assert b'data-total="0"' in browser(world, "otto").get("/notifications/bell/").content

    @pytest.mark.parametrize("path", ["/", "/tickets/", "/nowhere/"])
    def test_what_waits_stands_in_the_frame_and_the_title_of_every_page(
        self, world: World, asked: Any, path: str
    ) -> None:
        page = browser(world, "ada").get(path).content.decode()
        assert "<title>(1) " in page
        assert 'id="bell"' in page
        assert page.count("<span>1</span>") == 3, "menu, inbox and notifications"
        assert "<title>(" not in browser(world, "otto").get(path).content.decode()


class TestSettling:
    """“Your decision is needed” stayed unread, though nothing was needed any more."""

    def asks(self, world: World, name: str) -> int:
        rows = queries.inbox_of(world.user(name), unread=True)
        return rows.filter(kind__in=tell.ASKING).count()

    def test_a_decided_step_asks_nobody_any_more(self, world: World, asked: Any) -> None:
        assert (self.asks(world, "ada"), self.asks(world, "bo")) == (1, 1)
        world.decide("ada", asked)
        assert (self.asks(world, "ada"), self.asks(world, "bo")) == (0, 0)

    def test_the_next_step_is_asked_all_the_same(self, world: World) -> None:
        world.decide("ada", world.ask(role=ADMIN))
        assert (self.asks(world, "bo"), self.asks(world, "olga")) == (0, 1)

    def test_what_was_taken_back_asks_nobody(self, world: World, asked: Any) -> None:
        lapse.withdraw(request_id=asked.pk, user=world.user("rita"), actor=world.actor("rita"))
        assert (self.asks(world, "ada"), self.asks(world, "bo")) == (0, 0)


class TestPreferences:
    def test_keeps_what_is_ticked_and_nothing_else(self, world: World, asked: Any) -> None:
        ada = browser(world, "ada")
        page = ada.get("/account/notifications/").content.decode()
        assert page.count('type="checkbox"') == 32
        assert page.count("disabled") >= 12, "the inbox can't be turned off"
        answer = ada.post("/account/notifications/", {"wanted": ["active email", "junk"]})
        assert answer.status_code == 302
        chosen = {one.kind.value: one.wanted for one in queries.preferences_of(world.user("ada"))}
        assert chosen["active"] == {"in_app": True, "email": True}
        assert chosen["asked"] == {"in_app": True, "email": False}


class TestDeliveries:
    def test_shows_each_and_why_one_failed(self, world: World, asked: Any) -> None:
        delivering.deliver_lane("email")
        page = browser(world, "rita").get(f"/requests/{asked.pk}/deliveries/").content.decode()
        assert page.count("<strong>ada</strong>") == 2
        assert "the account has no e-mail address" in page

    def test_is_not_for_strangers(self, world: World, asked: Any) -> None:
        answer = browser(world, "otto").get(f"/requests/{asked.pk}/deliveries/")
        assert answer.status_code == 404

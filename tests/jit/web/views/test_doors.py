"""Who may open which page, and what strangers see of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

import approvals.urls
import jit.web.urls
from tests.support import people
from tests.support.world import World

OPEN_TO_ALL = {"sign-in", "sign-in-code", "sign-in-enrol"}
NOBODYS = {
    "request_id": str(uuid.UUID(int=7)),
    "grant_id": str(uuid.UUID(int=7)),
    "review_id": str(uuid.UUID(int=7)),
    "token_id": str(uuid.UUID(int=7)),
    "delegation_id": str(uuid.UUID(int=7)),
    "view_id": str(uuid.UUID(int=7)),
    "key": "OPS-1",
    "digest": "0123456789ab",
    "seq": 1,
    "name": "head",
}
FOR_SOME = {
    "policy": ("udo", "rita"),
    "policy-propose": ("opal", "rita"),
    "grants-revoke": ("opal", "udo"),
    "audit-verify-all": ("udo", "rita"),
}


def doors() -> Iterator[tuple[str, str]]:
    """Return every page's name and an address of it."""
    for prefix, patterns in (
        ("", jit.web.urls.urlpatterns),
        ("approvals:", approvals.urls.urlpatterns),
    ):
        for pattern in patterns:
            if not isinstance(pattern, URLPattern):
                continue  # Slack's doors open by signature, not by signing in: tested there.
            names = pattern.pattern.converters or pattern.pattern.regex.groupindex
            given = {name: NOBODYS[name] for name in names}
            if pattern.name == "home-part":
                given = {"name": "held"}
            yield f"{prefix}{pattern.name}", reverse(f"{prefix}{pattern.name}", kwargs=given)


@pytest.mark.django_db
class TestStrangers:
    @pytest.mark.parametrize(("name", "address"), sorted(doors()))
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_are_led_to_the_sign_in_page(self, name: str, address: str, method: str) -> None:
        if name in OPEN_TO_ALL:
            return
        answer = getattr(Client(), method)(address)
        assert answer.status_code in {302, 405}, (name, answer.status_code)
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/sign-in/")

    def test_a_part_of_a_page_sends_the_whole_page_there(self) -> None:
        answer = Client().get(reverse("grants"), headers={"HX-Request": "true"})
        assert answer.status_code == 401
        assert answer.headers["HX-Redirect"] == "/sign-in/"

    def test_half_signed_in_is_a_stranger(self, world: World) -> None:
        browser = Client()
        browser.force_login(world.user("rita"))
        assert browser.get("/").status_code == 302


class TestPermissions:
    @pytest.mark.parametrize("name", sorted(FOR_SOME))
    def test_are_asked_for(self, at: Callable[[str], Client], name: str) -> None:
        may, may_not = FOR_SOME[name]
        address = reverse(name)
        method = "get" if name == "policy" else "post"
        assert getattr(at(may_not), method)(address).status_code == 403
        assert getattr(at(may), method)(address).status_code != 403

    def test_the_navigation_shows_only_what_opens(self, at: Callable[[str], Client]) -> None:
        assert "/policy/" not in at("rita").get("/").content.decode()
        assert "/policy/" in at("udo").get("/").content.decode()


class TestForeignThings:
    @pytest.mark.parametrize(
        ("name", "method"),
        [
            ("request", "get"),
            ("request-withdraw", "post"),
            ("grant-credential", "post"),
            ("grant-return", "post"),
            ("grant-revoke", "post"),
            ("review-answer", "post"),
            ("ticket", "get"),
            ("policy-bundle", "get"),
            ("audit-event", "get"),
        ],
    )
    def test_are_not_there(self, at: Callable[[str], Client], name: str, method: str) -> None:
        found = {
            "request": "request_id",
            "request-withdraw": "request_id",
            "review-answer": "review_id",
            "ticket": "key",
            "policy-bundle": "digest",
            "audit-event": "seq",
        }
        kwargs = {found.get(name, "grant_id"): NOBODYS[found.get(name, "grant_id")]}
        kwargs |= {"key": "OPS-99999"} if name == "ticket" else {}
        kwargs |= {"seq": 99_999_999} if name == "audit-event" else {}
        who = "udo" if name in {"policy-bundle", "audit-event"} else "otto"
        answer = getattr(at(who), method)(reverse(name, kwargs=kwargs))
        assert answer.status_code == 404
        assert b"Reference" in answer.content or b"reference" in answer.content

    def test_a_request_of_others_is_not_there(
        self, world: World, at: Callable[[str], Client]
    ) -> None:
        address = reverse("request", args=[world.ask().pk])
        assert at("otto").get(address).status_code == 404
        assert at("ada").get(address).status_code == 200
        assert at("udo").get(address).status_code == 200


class TestErrors:
    def test_a_form_without_its_mark_says_so(self, world: World) -> None:
        browser = people.signed_in(Client(enforce_csrf_checks=True), world.user("rita"))
        answer = browser.post(reverse("sign-out"))
        assert answer.status_code == 403
        assert b"The form had expired" in answer.content

    def test_a_bug_is_answered_without_the_database(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_args: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr("jit.web.views.home._mine", broken)
        browser = people.signed_in(Client(raise_request_exception=False), world.user("rita"))
        answer = browser.get("/")
        assert answer.status_code == 500
        assert b"Something broke on our side" in answer.content
        assert answer.headers["X-Request-Id"].encode() in answer.content

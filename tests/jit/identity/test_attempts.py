"""Guessing is slowed over all addresses, and never the person's own browser by it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client

from jit.identity import own_browser
from jit.identity.models import User
from jit.identity.operations import attempts
from jit.kernel import clock
from tests.support import people

pytestmark = pytest.mark.django_db(transaction=True)


def guess(address: str, now: dt.datetime, browser: str = "", username: str = "rita") -> None:
    attempts.begin_attempt(username=username, address=address, now=now, own_browser=browser)


def addresses(count: int, start: int = 0) -> list[str]:
    return [f"198.51.{number // 250}.{number % 250}" for number in range(start, start + count)]


class TestFromManyAddresses:
    def test_guesses_for_one_account_are_slowed_over_all_addresses(self) -> None:
        """Twelve addresses had twelve times the guesses."""
        now = clock.now()
        for address in addresses(attempts.FREE_FROM_ANYWHERE):
            guess(address, now)
        with pytest.raises(attempts.TooManyAttempts):
            guess("203.0.113.9", now)
        guess("203.0.113.9", now, username="ada")  # others are not slowed

    def test_at_most_one_a_minute_is_left_and_nobody_is_locked_out_for_good(self) -> None:
        now, taken = clock.now(), 0
        for second in range(0, 3600, 5):
            try:
                guess(f"2001:db8:{second:x}::1", now + dt.timedelta(seconds=second))
            except attempts.TooManyAttempts:
                continue
            taken += 1
        assert attempts.FREE_FROM_ANYWHERE < taken < attempts.FREE_FROM_ANYWHERE + 70

    def test_the_persons_own_browser_is_not_slowed_by_strangers(self) -> None:
        now = clock.now()
        for address in addresses(attempts.FREE_FROM_ANYWHERE):
            guess(address, now)
        guess("203.0.113.9", now, browser="9f")

    def test_a_stolen_cookie_buys_no_more_guesses(self) -> None:
        now = clock.now()
        for address in addresses(attempts.FREE_FROM_ANYWHERE):
            guess(address, now, browser="9f")
        with pytest.raises(attempts.TooManyAttempts):
            guess("203.0.113.9", now, browser="9f")

    def test_a_right_password_takes_back_only_its_own_attempt(self) -> None:
        now = clock.now()
        for address in addresses(attempts.FREE_FROM_ANYWHERE - 1):
            guess(address, now)
        guess("203.0.113.9", now)
        attempts.forgive(username="rita", address="203.0.113.9")
        guess("203.0.113.10", now)
        with pytest.raises(attempts.TooManyAttempts):
            guess("203.0.113.11", now)


class TestOwnBrowser:
    @pytest.fixture
    def rita(self) -> User:
        return people.person("rita", password=people.PASSWORD)

    def enters(self, browser: Client, user: User, password: str = people.PASSWORD) -> int:
        form = {"username": user.username, "password": password}
        return browser.post("/sign-in/", form).status_code

    def test_is_marked_by_a_whole_sign_in_and_passes_while_strangers_guess(
        self, rita: User
    ) -> None:
        browser, stranger = Client(), Client()
        app = people.enrolled(rita, now=clock.now())
        assert self.enters(browser, rita) == 302
        assert own_browser.COOKIE not in browser.cookies
        browser.post("/sign-in/code/", {"code": app.code(clock.now())})
        cookie = browser.cookies[own_browser.COOKIE]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (
            True, "Lax", "/sign-in/",
        )  # fmt: skip
        browser.post("/sign-out/")
        for address in addresses(attempts.FREE_FROM_ANYWHERE):
            guess(address, clock.now())
        assert self.enters(stranger, rita) == 429
        assert self.enters(browser, rita) == 302

    @pytest.mark.parametrize("cookie", ["", "rubbish", "WyJyaXRhIiwiOWYiXQ:1abc:xyz"])
    def test_is_nobodys_by_a_cookie_that_we_did_not_sign(self, cookie: str) -> None:
        browser = Client()
        browser.cookies[own_browser.COOKIE] = cookie
        request = browser.get("/sign-in/").wsgi_request
        assert own_browser.of(request, "rita") == ""

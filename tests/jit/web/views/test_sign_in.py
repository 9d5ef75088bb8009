"""Signing in through the pages."""

from __future__ import annotations

import pytest
from django.test import Client

from jit.identity import queries
from jit.kernel import clock
from tests.support import people

PASSWORD = people.PASSWORD


@pytest.fixture
def rita(db: None) -> people.User:
    return people.person("rita", password=PASSWORD)


def give_password(browser: Client, password: str = PASSWORD, **more: str) -> object:
    return browser.post("/sign-in/", {"username": "rita", "password": password, **more})


@pytest.mark.django_db(transaction=True)
class TestPassword:
    def test_a_wrong_one_keeps_the_name_and_says_what_to_do(self, rita: people.User) -> None:
        answer = give_password(Client(), "wrong")
        assert answer.status_code == 401
        assert b'value="rita"' in answer.content
        assert b"The user name or the password is wrong" in answer.content
        assert b'wrong"' not in answer.content

    def test_leads_to_the_set_up_the_first_time(self, rita: people.User) -> None:
        browser = Client()
        assert give_password(browser).headers["Location"] == "/sign-in/enrol/"
        page = browser.get("/sign-in/enrol/")
        assert b"<svg" in page.content
        app = people.Authenticator(page.context["secret"])
        done = browser.post("/sign-in/enrol/", {"code": app.code(clock.now())})
        assert done.status_code == 200
        assert len(done.context["codes"]) == 10
        assert browser.get("/").status_code == 200
        assert queries.has_second_factor(rita)

    def test_leads_to_the_code_afterwards(self, rita: people.User) -> None:
        app = people.enrolled(rita, now=clock.now())
        browser = Client()
        assert give_password(browser, next="/tickets/").headers["Location"] == "/sign-in/code/"
        assert browser.get("/").status_code == 302
        right = browser.post("/sign-in/code/", {"code": app.code(clock.now())})
        assert right.headers["Location"] == "/tickets/"

    def test_a_wrong_code_is_told_of(self, rita: people.User) -> None:
        people.enrolled(rita, now=clock.now())
        browser = Client()
        give_password(browser)
        wrong = browser.post("/sign-in/code/", {"code": "000000"})
        assert wrong.status_code == 422
        assert b"Type the current one" in wrong.content
        assert browser.get("/").status_code == 302

    @pytest.mark.parametrize(
        "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil"]
    )
    def test_never_leads_elsewhere(self, rita: people.User, elsewhere: str) -> None:
        app = people.enrolled(rita, now=clock.now())
        browser = Client()
        give_password(browser, next=elsewhere)
        done = browser.post("/sign-in/code/", {"code": app.code(clock.now())})
        assert done.headers["Location"] == "/"

    def test_the_code_page_without_a_password_leads_back(self, rita: people.User) -> None:
        for address in ("/sign-in/code/", "/sign-in/enrol/"):
            assert Client().get(address).headers["Location"] == "/sign-in/"


@pytest.mark.django_db
class TestSignOut:
    def test_ends_the_session(self, rita: people.User) -> None:
        browser = people.signed_in(Client(), rita)
        assert browser.post("/sign-out/").headers["Location"] == "/sign-in/"
        assert browser.get("/").status_code == 302

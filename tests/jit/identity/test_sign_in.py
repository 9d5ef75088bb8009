from __future__ import annotations

import datetime as dt
from importlib import import_module

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.test import RequestFactory

from jit.identity import browser, operations, queries, sign_in
from tests.jit.identity.recorded import events
from tests.support import people

Store = import_module(settings.SESSION_ENGINE).SessionStore
SECOND = dt.timedelta(seconds=1)


class Tab:
    """A browser: it keeps its cookie between requests, as the session middleware would."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key

    def request(self):
        request = RequestFactory().post("/sign-in/", REMOTE_ADDR="192.0.2.7")
        request.session = Store(session_key=self.key)
        request.user = browser.verified_user(request.session) or AnonymousUser()
        return request

    def do(self, verb, **ask):
        request = self.request()
        try:
            return verb(request=request, **ask)
        finally:
            request.session.save()
            self.key = request.session.session_key

    @property
    def user(self):
        return browser.verified_user(Store(session_key=self.key))


@pytest.fixture
def tab(db):
    return Tab()


def begin(tab, now, username="rita", password=people.PASSWORD):
    return tab.do(sign_in.begin, username=username, password=password, now=now)


class TestBegin:
    def test_alone_signs_nobody_in(self, tab, rita, app, now):
        assert begin(tab, now) == rita
        assert tab.user is None
        assert "_auth_user_id" not in Store(session_key=tab.key).load()
        assert tab.do(sign_in.pending_user, now=now) == rita

    @pytest.mark.parametrize(
        ("username", "password"), [("rita", "wrong"), ("nobody", people.PASSWORD)]
    )
    def test_says_the_same_of_a_wrong_name_and_a_wrong_password(
        self, tab, rita, now, username, password
    ):
        with pytest.raises(sign_in.SignInRefused) as refused:
            begin(tab, now, username=username, password=password)
        assert refused.value.detail == "The user name or the password is wrong. Try again."
        assert tab.do(sign_in.pending_user, now=now) is None
        event = events("user.sign-in-failed")[0]
        assert b"nobody" not in bytes(event.body)
        assert b"192.0.2.7" not in bytes(event.body)

    def test_leaves_a_session_of_somebody_else(self, tab, rita, now):
        ada = people.person("ada", now=now)
        app = people.enrolled(ada, now=now)
        operations.set_password(
            user=ada, password=people.PASSWORD, actor=people.acting(ada), now=now
        )
        begin(tab, now, username="ada")
        tab.do(sign_in.finish, code=app.code(now), now=now)
        assert tab.user == ada
        begin(tab, now)
        assert tab.user is None


class TestPendingUser:
    def test_is_forgotten_after_a_while(self, tab, rita, now):
        begin(tab, now)
        end = now + sign_in.PENDING_FOR
        assert tab.do(sign_in.pending_user, now=end - SECOND) == rita
        assert tab.do(sign_in.pending_user, now=end) is None

    def test_is_nobody_once_disabled(self, tab, rita, now):
        begin(tab, now)
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert tab.do(sign_in.pending_user, now=now) is None

    def test_is_nobody_once_the_password_changed(self, tab, rita, now):
        begin(tab, now)
        operations.set_password(
            user=rita, password="another long one", actor=people.acting(rita), now=now
        )
        assert tab.do(sign_in.pending_user, now=now) is None


class TestFinish:
    def test_signs_the_person_in(self, tab, rita, app, now):
        begin(tab, now)
        tab.do(sign_in.finish, code=app.code(now), now=now)
        assert tab.user == rita
        assert browser.second_factor_at(Store(session_key=tab.key)) == now
        assert len(events("user.signed-in")) == 1
        assert tab.do(sign_in.pending_user, now=now) is None

    def test_takes_a_recovery_code(self, tab, rita, app, now):
        codes = operations.issue_recovery_codes(user=rita, actor=people.acting(rita), now=now)
        begin(tab, now)
        tab.do(sign_in.finish, code=codes[3], now=now)
        assert tab.user == rita

    def test_refuses_a_wrong_code_and_keeps_the_sign_in_pending(self, tab, rita, app, now):
        begin(tab, now)
        with pytest.raises(operations.CodeWrong):
            tab.do(sign_in.finish, code=app.code(now, ahead=7), now=now)
        assert tab.user is None
        tab.do(sign_in.finish, code=app.code(now), now=now + 2 * SECOND)
        assert tab.user == rita

    def test_needs_a_password_first(self, tab, rita, app, now):
        with pytest.raises(sign_in.SignInNotBegun):
            tab.do(sign_in.finish, code=app.code(now), now=now)

    def test_rotates_the_session_key_so_that_a_planted_one_opens_nothing(self, tab, rita, app, now):
        planted = Store()
        planted["planted"] = True
        planted.save()
        tab = Tab(planted.session_key)
        keys = [tab.key]
        begin(tab, now)
        keys.append(tab.key)
        tab.do(sign_in.finish, code=app.code(now), now=now)
        keys.append(tab.key)
        assert len(set(keys)) == 3
        assert not Session.objects.filter(session_key__in=keys[:2]).exists()
        assert Tab(keys[0]).user is None
        assert "planted" not in Store(session_key=tab.key).load()


class TestEnrolment:
    def test_comes_before_anything_else(self, tab, rita, now):
        begin(tab, now)
        assert not queries.has_second_factor(rita)
        with pytest.raises(operations.NoSecondFactor):
            tab.do(sign_in.finish, code="000000", now=now)
        told = tab.do(sign_in.enrolment, now=now)
        assert tab.user is None
        code = people.Authenticator(told.secret).code(now)
        codes = tab.do(sign_in.finish_enrolment, code=code, now=now)
        assert tab.user == rita
        assert len(codes) == 10
        assert queries.recovery_codes_left(rita) == 10

    def test_shows_the_same_again_to_the_same_browser(self, tab, rita, now):
        begin(tab, now)
        first = tab.do(sign_in.enrolment, now=now)
        assert tab.do(sign_in.enrolment, now=now) == first

    def test_never_shows_a_secret_that_another_browser_saw(self, tab, rita, now):
        thief = Tab()
        begin(thief, now)
        seen = thief.do(sign_in.enrolment, now=now)
        begin(tab, now)
        assert tab.do(sign_in.enrolment, now=now).secret != seen.secret
        code = people.Authenticator(seen.secret).code(now)
        with pytest.raises(sign_in.SignInNotBegun):
            thief.do(sign_in.finish_enrolment, code=code, now=now)

    def test_is_refused_to_who_has_an_authenticator(self, tab, rita, app, now):
        begin(tab, now)
        with pytest.raises(operations.AlreadyEnrolled):
            tab.do(sign_in.enrolment, now=now)


class TestSignOut:
    def test_ends_the_session(self, tab, rita, app, now):
        begin(tab, now)
        tab.do(sign_in.finish, code=app.code(now), now=now)
        key = tab.key
        tab.do(sign_in.sign_out, now=now)
        assert Tab(key).user is None
        assert len(events("user.signed-out")) == 1

from __future__ import annotations

import pytest
from django.test import AsyncClient, Client

from jit.identity import browser, operations
from jit.identity.middleware import SecondFactor
from jit.kernel import clock
from tests.support import people

pytestmark = pytest.mark.urls("tests.jit.identity.urls")


class TestSecondFactor:
    def test_lets_a_verified_person_be_themselves(self, client, rita, now):
        told = people.signed_in(client, rita, at=now).get("/page/").json()
        assert told == {"user": "rita", "verified": True, "at": now.isoformat()}

    def test_treats_who_gave_only_a_password_as_nobody(self, client, rita):
        client.force_login(rita)
        assert client.get("/page/").json() == {"user": "", "verified": False, "at": None}

    @pytest.mark.parametrize("remembered", [None, "yes", {}, {"at": "soon"}, {"at": 5}, []])
    def test_believes_no_broken_memory(self, client, rita, remembered):
        client.force_login(rita)
        session = client.session
        session[browser.SECOND_FACTOR] = remembered
        session.save()
        assert client.get("/page/").json()["user"] == ""

    def test_costs_nothing_without_a_cookie(self, client, db, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert client.get("/page/").json()["user"] == ""

    def test_costs_two_statements_with_one(self, client, rita, django_assert_num_queries):
        people.signed_in(client, rita)
        with django_assert_num_queries(2):  # the session, and the person with their manager
            client.get("/page/")

    def test_a_disabled_person_is_nobody_at_once(self, client, rita, now):
        people.signed_in(client, rita)
        assert client.get("/page/").json()["user"] == "rita"
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert client.get("/page/").json()["user"] == ""

    def test_a_session_from_before_a_disabling_stays_dead(self, client, rita, now):
        people.signed_in(client, rita)
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        operations.enable_user(user=rita, actor=people.INSTALLER, now=now)
        assert client.get("/page/").json()["user"] == ""

    def test_ended_sessions_are_dead_and_others_live(self, client, rita, now):
        ada = people.person("ada", now=now)
        hers = people.signed_in(Client(), ada)
        people.signed_in(client, rita)
        operations.end_browser_sessions(user=rita, actor=people.acting(rita), now=now)
        assert client.get("/page/").json()["user"] == ""
        assert hers.get("/page/").json()["user"] == "ada"

    def test_a_new_password_ends_sessions(self, client, rita, now):
        people.signed_in(client, rita)
        operations.set_password(
            user=rita, password="another long one", actor=people.acting(rita), now=now
        )
        assert client.get("/page/").json()["user"] == ""


class TestAsync:
    def test_answers_the_same_on_the_async_side(self, rita):
        from asgiref.sync import async_to_sync

        nobody, half, whole = AsyncClient(), AsyncClient(), AsyncClient()
        half.force_login(rita)
        people.signed_in(whole, rita, at=clock.now())

        async def ask():
            return [(await one.get("/later/")).json()["user"] for one in (nobody, half, whole)]

        assert async_to_sync(ask)() == ["", "", "rita"]

    def test_is_async_when_what_it_wraps_is(self):
        from asgiref.sync import iscoroutinefunction

        async def inner(request):
            return None

        assert iscoroutinefunction(SecondFactor(inner))
        assert not iscoroutinefunction(SecondFactor(lambda request: None))

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.conf import settings
from django.test import Client, RequestFactory
from django.utils.module_loading import import_string

from jit.identity import operations, sign_in, sockets
from tests.support import people
from tests.support.websockets import Socket


class Echo:
    """An application that says who is there, and remembers how it ended."""

    def __init__(self) -> None:
        self.closed_with = None

    async def __call__(self, scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.closed_with = message["code"]
                return
            told = {"user": scope["user"].username, "at": scope["second_factor_at"].isoformat()}
            await send({"type": "websocket.send", "text": json.dumps(told)})


def cookie_of(client):
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def request_of(client, user):
    request = RequestFactory().post("/")
    request.session, request.user = client.session, user
    return request


def caller(inner, key):
    cookies = {settings.SESSION_COOKIE_NAME: key} if key else {}
    return Socket(sockets.authenticated(inner), "/ws/", cookies)


async def refused(key):
    """Return whether the socket is closed for want of a sign-in, with nothing let through."""
    inner = Echo()
    line = caller(inner, key)
    accepted = await line.connect()
    closing = await line.receive_output(3)
    await line.wait(3)
    return accepted and closing == {"type": "websocket.close", "code": 4401}


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch):
    """Channels closes a connection that stands in a transaction, as a test's does."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)


@pytest.fixture
def asked(monkeypatch):
    """Count how often an open socket asked whether its person may still be there."""
    counted = asyncio.Queue()
    person_of = sockets.person_of

    async def counting(scope):
        answer = await person_of(scope)
        counted.put_nowait(answer)
        return answer

    monkeypatch.setattr(sockets, "person_of", counting)
    return counted


class TestAuthenticated:
    def test_hands_a_verified_person_on(self, rita, now):
        key = cookie_of(people.signed_in(Client(), rita, at=now))

        async def talk():
            line = caller(Echo(), key)
            await line.connect()
            await line.say("who?")
            told = await line.hear()
            await line.leave()
            return told

        assert async_to_sync(talk)() == {"user": "rita", "at": now.isoformat()}

    @pytest.mark.parametrize("key", ["", "nonsense"])
    def test_closes_on_who_has_no_session(self, db, key):
        assert async_to_sync(refused)(key)

    def test_closes_on_who_gave_only_a_password(self, rita):
        client = Client()
        client.force_login(rita)
        assert async_to_sync(refused)(cookie_of(client))

    def test_closes_on_a_disabled_person(self, rita, now):
        key = cookie_of(people.signed_in(Client(), rita))
        operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
        assert async_to_sync(refused)(key)


class TestWatch:
    @pytest.mark.parametrize("does", ["disabled", "signed out in another tab"])
    def test_cuts_an_open_socket_as_soon_as_its_person_is(
        self, rita, now, asked, django_capture_on_commit_callbacks, does
    ):
        client = people.signed_in(Client(), rita)
        key = cookie_of(client)
        inner = Echo()

        def act():
            with django_capture_on_commit_callbacks(execute=True):
                if does == "disabled":
                    operations.disable_user(user=rita, actor=people.INSTALLER, now=now)
                else:
                    sign_in.sign_out(request=request_of(client, rita), now=now)

        async def talk():
            line = caller(inner, key)
            await line.connect()
            for _ in range(2):  # at the door, and once the hints are heard
                assert await asyncio.wait_for(asked.get(), 10) is not None
            await database_sync_to_async(act)()
            closing = await line.receive_output(timeout=10)
            await line.wait(10)
            return closing

        assert async_to_sync(talk)() == {"type": "websocket.close", "code": 4401}
        assert inner.closed_with == 4401

    @pytest.mark.parametrize("layer", ["there", "gone"])
    def test_asks_by_the_clock_when_no_hint_comes(self, rita, asked, monkeypatch, layer):
        monkeypatch.setattr(sockets, "ASK_AGAIN_EVERY", dt.timedelta(milliseconds=20))
        if layer == "gone":
            monkeypatch.setattr(sockets, "get_channel_layer", lambda: None)
        client = people.signed_in(Client(), rita)
        key = cookie_of(client)
        store = import_string(settings.SESSION_ENGINE + ".SessionStore")

        async def talk():
            line = caller(Echo(), key)
            await line.connect()
            for _ in range(3):
                assert await asyncio.wait_for(asked.get(), 10) is not None
            await database_sync_to_async(store(session_key=key).delete)()
            closing = await line.receive_output(timeout=10)
            await line.wait(10)
            return closing

        assert async_to_sync(talk)() == {"type": "websocket.close", "code": 4401}

    def test_stops_when_the_browser_leaves(self, rita, asked):
        key = cookie_of(people.signed_in(Client(), rita))
        inner = Echo()

        async def talk():
            line = caller(inner, key)
            await line.connect()
            for _ in range(2):
                await asyncio.wait_for(asked.get(), 10)
            await line.leave(1001)
            return [task for task in asyncio.all_tasks() if "_watch" in str(task.get_coro())]

        assert async_to_sync(talk)() == []
        assert inner.closed_with == 1001

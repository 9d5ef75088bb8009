"""The socket of the pages: hints for those who may look, nothing for anybody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.conf import settings
from django.db import transaction
from django.test import Client

from jit.identity import sockets
from jit.web.routing import urlpatterns
from jit.workflow import hints
from tests.support import people, websockets
from tests.support.websockets import Socket
from tests.support.world import World

APPLICATION = sockets.authenticated(URLRouter(urlpatterns))


@pytest.fixture(autouse=True)
def _own_layer() -> Iterator[None]:
    with websockets.own_layer():
        yield


def cookies(world: World, name: str) -> dict[str, str]:
    browser = people.signed_in(Client(), world.user(name))
    return {settings.SESSION_COOKIE_NAME: browser.cookies[settings.SESSION_COOKIE_NAME].value}


async def _watching(own: dict[str, str], watch: Any, tell: Callable[[], Any]) -> list[Any]:
    """Return what a page hears that asks to watch, after `tell` has said something."""
    socket = Socket(APPLICATION, "/ws/live/", own)
    assert await socket.connect()
    await socket.say(json.dumps({"watch": watch}))
    heard = [await socket.hear()]
    await tell()
    while not await socket.receive_nothing(timeout=0.3):
        heard.append(await socket.hear())
    await socket.leave()
    return heard


def watching(world: World, name: str, watch: Any, *groups: str) -> list[Any]:
    async def tell() -> None:
        for group in groups:
            message = {"type": "hint", "about": "request", "id": group}
            await get_channel_layer().group_send(group, message)

    return async_to_sync(_watching)(cookies(world, name), watch, tell)


@pytest.mark.django_db(transaction=True)
class TestLive:
    def test_hints_reach_those_who_may_look(self, world: World) -> None:
        row = world.ask()
        group = f"request.{row.pk.hex}"
        for name in ("rita", "ada", "udo"):
            heard = watching(world, name, [str(row.pk)], group)
            assert heard[0] == {"about": "watching", "count": 2}
            assert heard[1:] == [{"about": "request", "id": group}]

    def test_nobody_watches_what_is_not_theirs(self, world: World) -> None:
        row = world.ask()
        heard = watching(world, "otto", [str(row.pk), "operators"], f"request.{row.pk.hex}")
        assert heard == [{"about": "watching", "count": 1}]

    def test_operators_hear_of_everything(self, world: World) -> None:
        assert len(watching(world, "opal", ["operators"], "operators")) == 2
        assert len(watching(world, "rita", ["operators"], "operators")) == 1

    def test_everybody_hears_what_is_for_them(self, world: World) -> None:
        rita = world.user("rita")
        assert len(watching(world, "rita", [], f"person.{rita.pk.hex}")) == 2
        assert len(watching(world, "otto", [], f"person.{rita.pk.hex}")) == 1

    @pytest.mark.parametrize("junk", [["x"], [None, 7, {}], ["../../x"], [[]], ["\x00"]])
    def test_junk_is_watched_by_nobody(self, world: World, junk: list[Any]) -> None:
        assert watching(world, "rita", junk) == [{"about": "watching", "count": 1}]

    def test_what_is_no_json_is_passed_over(self, world: World) -> None:
        async def talk(own: dict[str, str]) -> Any:
            socket = Socket(APPLICATION, "/ws/live/", own)
            assert await socket.connect()
            for junk in ("{", "", "[" * 100_000, "null", '"x"'):
                await socket.say(junk)
            await socket.send_input({"type": "websocket.receive", "bytes": b"\x00"})
            await socket.say('{"watch": []}')
            heard = await socket.hear()
            await socket.leave()
            return heard

        heard = async_to_sync(talk)(cookies(world, "rita"))
        assert heard == {"about": "watching", "count": 1}

    def test_the_workflow_speaks_to_the_groups_that_pages_join(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = world.ask()
        sent: list[tuple[tuple[str, ...], dict[str, str]]] = []
        monkeypatch.setattr(hints._sender, "send", sent.extend)
        with transaction.atomic():
            hints.about_request(row.pk, people=[row.requester_id])
        groups, hint = sent[0]
        assert set(groups) == {
            f"request.{row.pk.hex}",
            "operators",
            f"person.{row.requester_id.hex}",
        }
        assert hint == {"type": "hint", "about": "request", "id": str(row.pk)}

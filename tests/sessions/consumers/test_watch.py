"""Watching a live session over a websocket: its lines, on the record, for who may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from jit.audit.models import AuditEvent
from jit.catalog.models import Role
from jit.identity import operations as identity
from jit.identity.permissions import Permission
from jit.kernel import clock
from sessions.consumers import watch as consumer
from sessions.models import AccessSession
from sessions.recording.live import Broadcaster
from tests.sessions.consumers.browser import Browser, cookies_of
from tests.support import people
from tests.support.processes import until
from tests.support.ssh_gateway import RunningGateway, Visitor, hold

GROUP = "auditors"


@pytest.fixture
def shell(operator: Role, door: RunningGateway) -> Iterator[Any]:
    """rita's open shell, and somebody at the gateway who answers watchers."""
    people.group(GROUP, Permission.SESSION_READ_ALL)
    identity.add_member(
        group=people.group(GROUP),
        user=people.known_as("udo"),
        actor=people.INSTALLER,
        now=clock.now(),
    )
    hold(operator)
    rita = Visitor(door, "rita")
    answering = Broadcaster(door.recorder).start()
    line = rita.open("cat")
    until(lambda: AccessSession.objects.filter(state="LIVE").first())
    yield line
    rita.close()
    answering.stop()


def watching(name: str, work: Callable[[Browser], Awaitable[Any]]) -> Any:
    session = AccessSession.objects.get()
    cookies = cookies_of(people.known_as(name))

    async def watched() -> Any:
        page = Browser(f"/ws/sessions/{session.pk}/watch/", cookies)
        assert await page.connect()
        return await work(page)

    return async_to_sync(watched)()


def say(shell: Any, text: str) -> None:
    shell.stdin.write(text.encode())
    shell.stdin.flush()


class TestWatch:
    def test_shows_what_was_on_the_screen_and_what_comes(self, shell: Any) -> None:
        say(shell, "before\n")
        assert shell.stdout.readline() == b"before\n"

        async def work(page: Browser) -> None:
            await page.until(lambda: any("before" in line for line in page.lines))
            assert page.told[0]["version"] == 3
            await sync_to_async(say)(shell, "after\n")
            await page.until(lambda: any("after" in line for line in page.lines))
            # No terminal: what comes begins at the left, the picture it begins with, too.
            assert all("\r\n" in line[2] for line in page.lines if line[1] == "o")
            await sync_to_async(shell.stdin.close)()
            await page.until(lambda: page.closed)
            assert page.closed == consumer.ENDED
            await page.leave(consumer.ENDED)

        watching("udo", work)
        event = AuditEvent.objects.get(action="session.viewed")
        assert (event.actor_name, event.content["body"]) == ("udo", {"how": "live"})

    def test_is_not_for_strangers(self, shell: Any) -> None:
        async def work(page: Browser) -> None:
            await page.until(lambda: page.closed)
            assert not page.lines
            assert not page.told

        watching("otto", work)
        assert not AuditEvent.objects.filter(actor_name="otto").exists()

    def test_stops_when_the_right_to_look_is_gone(
        self, shell: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumer, "ASK_AGAIN_EVERY", 0.05)

        def leave_the_group() -> None:
            identity.remove_member(
                group=people.group(GROUP),
                user=people.known_as("udo"),
                actor=people.INSTALLER,
                now=clock.now(),
            )

        async def work(page: Browser) -> None:
            await page.until(lambda: page.told)
            await sync_to_async(leave_the_group)()
            await page.until(lambda: page.closed)

        watching("udo", work)

"""The web terminal's websocket, through the real gateway to a real sshd."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async

from jit.catalog.models import Role
from jit.elevation.models import Grant
from jit.identity.permissions import Permission
from jit.kernel import clock
from sessions.consumers import terminal as consumer
from sessions.models import AccessSession
from sessions.operations import cutting
from sessions.terminal import outbox, resuming
from tests.sessions.consumers.browser import Browser, cookies_of
from tests.support import people
from tests.support.processes import until
from tests.support.ssh_gateway import RunningGateway, closed_session, events_of, hold, output_of

SIZE = {"columns": 90, "rows": 25}


@pytest.fixture
def grant(operator: Role, door: RunningGateway) -> Grant:
    """rita's live grant on the sshd."""
    return hold(operator)


def at(grant: Grant, work: Callable[..., Awaitable[Any]], name: str = "rita") -> Any:
    """Let `work` open pages at the terminal of this grant, as the person of this name."""
    cookies = cookies_of(people.known_as(name))

    def page(**asked: Any) -> Browser:
        return Browser(f"/ws/terminal/{grant.pk}/", cookies, **asked)

    async def work_and_leave() -> Any:
        """Hang up what is kept for who may come back: its loop ends with the test."""
        try:
            return await work(page)
        finally:
            for line in list(resuming.lines._lines.values()):
                line.hang_up()
                await line.connection.wait_closed()

    return async_to_sync(work_and_leave)()


async def opened(page: Any) -> Browser:
    browser: Browser = page(**SIZE)
    assert await browser.connect()
    await browser.until(lambda: browser.told)
    return browser


async def typed(browser: Browser, line: str, answer: bytes) -> None:
    await browser.type(f"{line}\r")
    await browser.until(lambda: answer in browser.shown)


class TestTerminal:
    def test_is_a_shell_on_the_host_recorded_like_any_other(
        self, grant: Grant, door: RunningGateway
    ) -> None:
        async def work(page: Any) -> None:
            browser = await opened(page)
            await typed(browser, "stty size; echo $((40+2))", b"42\r\n")
            assert b"25 90" in browser.shown
            await browser.tell(size=[100, 30])
            await typed(browser, "stty size", b"30 100")
            await browser.type("exit 7\r")
            await browser.until(lambda: browser.closed)
            assert browser.closed == consumer.OVER
            assert browser.told[-1] == {"over": "The session ended (exit status 7)."}
            await browser.leave(consumer.OVER)

        at(grant, work)
        session = closed_session()
        assert (session.door, session.proof, session.closed_because) == ("web", "token", "logout")
        assert (session.source_address, session.client) == ("198.51.100.4", "Tests/1.0")
        events = events_of(door, session)
        assert "42" in output_of(events)
        assert [event.text for event in events if event.code == "r"][-1] == "100x30"

    def test_says_why_somebody_ended_it(self, grant: Grant) -> None:
        """“Exit status 254” was all that the person who was cut off read."""

        async def work(page: Any) -> None:
            browser = await opened(page)
            await typed(browser, "echo $((40+2))", b"42\r\n")
            await database_sync_to_async(terminate)("Wrong host, \x1b[2Jplease stop.")
            await browser.until(lambda: browser.closed)
            assert browser.told[-1] == {
                "over": "udo ended this session: Wrong host,  [2Jplease stop."
            }
            await browser.leave(consumer.OVER)

        def terminate(comment: str) -> None:
            people.group("auditors", Permission.SESSION_READ_ALL)
            udo = people.person("udo", "auditors")
            session = AccessSession.objects.get(grant=grant)
            cutting.terminate(
                session_id=session.pk, user=udo, comment=comment, actor=people.acting(udo)
            )

        at(grant, work)

    def test_is_its_holders_alone(self, grant: Grant) -> None:
        async def work(page: Any) -> None:
            browser = page(**SIZE)
            assert await browser.connect()
            await browser.until(lambda: browser.closed)
            assert browser.told[0]["code"] == "NotYourCredential"

        at(grant, work, "bo")
        assert not AccessSession.objects.exists()

    def test_needs_a_signed_in_person(self, grant: Grant) -> None:
        async def work() -> None:
            browser = Browser(f"/ws/terminal/{grant.pk}/", {}, **SIZE)
            await browser.connect()
            await browser.hear_one()
            assert browser.closed == 4401

        async_to_sync(work)()

    def test_says_when_something_else_answers_as_the_gateway(
        self, grant: Grant, settings: Any
    ) -> None:
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        settings.SSH_GATEWAY_PUBLIC_KEYS = [other.strip()]

        async def work(page: Any) -> None:
            browser = page(**SIZE)
            await browser.connect()
            await browser.until(lambda: browser.closed)
            assert "does not have the gateway's key" in browser.told[0]["over"]

        at(grant, work)
        assert not AccessSession.objects.exists()

    def test_passes_the_gateways_refusal_on(self, grant: Grant, operator: Role) -> None:
        operator.config = {**operator.config, "shell": False, "direct": False}
        operator.save()

        async def work(page: Any) -> None:
            browser = page(**SIZE)
            await browser.connect()
            await browser.until(lambda: browser.closed)
            assert b"Your role gives no shell here" in browser.shown

        at(grant, work)

    def test_opens_only_while_the_grant_lasts(self, grant: Grant) -> None:
        second = dt.timedelta(seconds=1)
        over = clock.now() - second
        Grant.objects.filter(pk=grant.pk).update(starts_at=over - second, ends_at=over)

        async def work(page: Any) -> None:
            browser = page(**SIZE)
            await browser.connect()
            await browser.until(lambda: browser.closed)
            assert browser.told[0]["code"] == "CredentialNotActive"

        at(grant, work)

    def test_holds_the_host_back_while_the_browser_draws(self, grant: Grant) -> None:
        async def work(page: Any) -> None:
            browser = await opened(page)
            await browser.type("head -c 3000000 /dev/zero | tr '\\0' x; echo done-$((1+1))\r")
            await browser.until(lambda: len(browser.shown) >= outbox.WINDOW, most=2000)
            assert await browser.receive_nothing(timeout=0.4)
            line = next(iter(resuming.lines._lines.values()))
            assert line.outbox.end - line.outbox.start < 4 * 1024 * 1024
            while b"done-2" not in browser.shown:
                await browser.tell(have=len(browser.shown))
                await browser.hear_one()
            assert browser.shown.count(b"x") >= 3_000_000
            await browser.type("exit\r")
            await browser.until(lambda: browser.closed, most=2000)
            await browser.leave(consumer.OVER)

        at(grant, work)


class TestResuming:
    def test_takes_the_same_session_up_and_misses_nothing(self, grant: Grant) -> None:
        async def work(page: Any) -> None:
            first = await opened(page)
            await typed(first, "mark=$$; echo pid=$mark.", b".\r\n")
            await first.type("sleep 0.3; echo while-$((1+1))-away\r")
            await first.until(lambda: b"echo while-" in first.shown)
            await first.drop()
            second = page(ticket=first.told[0]["ticket"], have=len(first.shown), **SIZE)
            assert await second.connect()
            await second.until(lambda: b"while-2-away" in second.shown)
            await typed(second, "echo same=$([ $mark = $$ ] && echo yes)", b"same=yes")
            whole = first.shown + second.shown
            assert whole.count(b"while-2-away") == 1
            await second.type("exit\r")
            await second.until(lambda: second.closed)
            await second.leave(consumer.OVER)

        at(grant, work)
        assert AccessSession.objects.count() == 1

    def test_shows_a_reloaded_page_the_screen_again(self, grant: Grant) -> None:
        async def work(page: Any) -> None:
            first = await opened(page)
            await typed(first, "echo on-$((1+1))-screen", b"on-2-screen")
            await first.tell(have=len(first.shown))
            await first.drop()
            again = page(ticket=first.told[0]["ticket"], **SIZE)
            assert await again.connect()
            await again.until(lambda: b"on-2-screen" in again.shown)
            await again.type("exit\r")
            await again.until(lambda: again.closed)
            await again.leave(consumer.OVER)

        at(grant, work)

    def test_is_for_the_same_person_and_browser_alone(self, grant: Grant) -> None:
        people.known_as("bo")
        strangers = [cookies_of(people.known_as(name)) for name in ("bo", "rita")]

        async def work(page: Any) -> None:
            first = await opened(page)
            await first.drop()
            ticket = first.told[0]["ticket"]
            for cookies in strangers:
                thief = Browser(f"/ws/terminal/{grant.pk}/", cookies, ticket=ticket, have=0)
                await thief.connect()
                await thief.until(lambda: thief.closed)  # noqa: B023 -- heard before the next
                assert thief.told[0]["code"] == "TerminalGone"
            resuming.lines.forget(ticket)

        at(grant, work)

    def test_hangs_up_when_nobody_comes_back(
        self, grant: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resuming, "KEPT", 0.2)

        async def work(page: Any) -> None:
            first = await opened(page)
            await typed(first, "echo $((1+1))", b"2\r\n")
            await first.drop()
            for line in list(resuming.lines._lines.values()):  # None, if it was hung up by now.
                await line.connection.wait_closed()
            late = page(ticket=first.told[0]["ticket"], have=0)
            await late.connect()
            await late.until(lambda: late.closed)
            assert late.told[0]["code"] == "TerminalGone"

        at(grant, work)
        assert until(closed_session).closed_because == "logout"

    def test_says_when_another_process_holds_it(
        self, grant: Grant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work(page: Any) -> None:
            first = await opened(page)
            await first.drop()
            ticket = first.told[0]["ticket"]
            with monkeypatch.context() as another:
                another.setattr(resuming, "lines", resuming.Lines())
                another.setattr(resuming, "PROCESS", "another")
                second = page(ticket=ticket, have=len(first.shown))
                await second.connect()
                await second.until(lambda: second.closed)
            assert second.closed == consumer.ELSEWHERE
            resuming.lines.forget(ticket)

        at(grant, work)

    def test_ends_for_a_page_whose_person_signed_out(self, grant: Grant) -> None:
        async def work(page: Any) -> None:
            first = await opened(page)
            await first.leave(4401)
            assert not resuming.lines._lines

        at(grant, work)

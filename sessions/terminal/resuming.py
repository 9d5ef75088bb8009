"""Lines whose browser is away, and the tickets by which it takes them up again.

A line lives in one web process. What the cache holds is only which process that is, so that
another one can tell "not here" from "not there any more"; the browser then knocks again until
it reaches the right one (docs/adr/0014-a-web-terminal-lives-in-one-process.md).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from typing import Any

from django.core.cache import cache

from jit.kernel.errors import Conflict, DomainError
from sessions.terminal.line import Line

KEPT = 60
"""Seconds that a line is kept for a browser that is away."""
MOST_OF_ONE = 10
"""Terminals of one person in one process."""
PROCESS = uuid.uuid4().hex


class TooManyTerminals(Conflict):
    """The person has as many terminals open as one may have."""


class TerminalGone(DomainError):
    """The line is not there any more, or was never this person's."""

    status = 404


class HeldElsewhere(Conflict):
    """Another web process holds the line: knock again."""


class Lines:
    """The lines of this process, by the digest of their tickets."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}

    def make_room(self, user_id: str) -> None:
        """Raise TooManyTerminals where the person may open no more."""
        if sum(line.owner[0] == user_id for line in self._lines.values()) >= MOST_OF_ONE:
            raise TooManyTerminals(
                f"You have {MOST_OF_ONE} terminals open. Close one, or wait a minute after "
                "closing its page."
            )

    async def keep(self, line: Line) -> str:
        """Keep a new line and return the ticket for it."""
        ticket = secrets.token_urlsafe(24)
        self._lines[_digest(ticket)] = line
        await cache.aset(_name(ticket), PROCESS, None)
        return ticket

    async def take_up(self, ticket: str, *, owner: tuple[str, str], received: int | None) -> Line:
        """Return the line of this ticket, to go on after `received` bytes, or for None with
        the last it said.

        Raises HeldElsewhere and TerminalGone.
        """
        line = self._lines.get(_digest(ticket))
        if line is None:
            holder = await cache.aget(_name(ticket))
            if holder is not None and holder != PROCESS:
                raise HeldElsewhere("Another process holds this terminal.")
        if line is None or line.owner != owner or not line.outbox.resume(received):
            raise TerminalGone(
                "This terminal is closed: its line was away for too long, or it was never "
                "yours. Open a new one."
            )
        self._stay(ticket)
        return line

    def leave(self, ticket: str) -> None:
        """The browser is away: hang up unless it is back within KEPT seconds."""
        self._stay(ticket)
        loop = asyncio.get_running_loop()
        self._leaving[_digest(ticket)] = loop.call_later(KEPT, self.forget, ticket)

    def forget(self, ticket: str) -> None:
        """Hang up and let go."""
        self._stay(ticket)
        line = self._lines.pop(_digest(ticket), None)
        if line is not None:
            line.hang_up()
            spawn(cache.adelete(_name(ticket)))

    def _stay(self, ticket: str) -> None:
        timer = self._leaving.pop(_digest(ticket), None)
        if timer is not None:
            timer.cancel()


_running: set[asyncio.Future[Any]] = set()


def spawn(work: Any) -> None:
    """Do this in the background, held on to until it is done."""
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_running.discard)


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _name(ticket: str) -> str:
    return f"terminal:{_digest(ticket)}"


lines = Lines()

"""What every gateway process has: its heartbeat, the clock of its sessions, and their end.

A session ends by the gateway's own monotonic clock. Whatever else ends it (a revocation, an
auditor, a leaver) is in the database, where the supervisor looks twice a second; a message makes
it look at once. One that can't look for GATEWAY_FENCE seconds ends all its sessions.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections

from jit.kernel.errors import DomainError
from sessions import queries, revoke_channel
from sessions.gateways.interfaces import LiveSession
from sessions.models import GatewayProcess
from sessions.operations import lifecycle, processes
from sessions.operations.lifecycle import Closing
from sessions.states import ClosedBecause

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
WARN_AT = (300.0, 60.0)
"""Seconds before its end at which a session's person is warned."""
_NEARER = 0.01
"""What is told of an end is early by as long as the answer took: a later one is nearer."""
_LOOK_WITHIN = 5.0
"""A look that takes longer has failed: a database that is frozen would keep it for minutes."""
_END_WITHIN = 5.0
_CLOSE_EVERY = 0.02
_ASKERS = 8


@dataclass(slots=True, eq=False)
class _Supervised:
    session_id: UUID
    live: LiveSession
    over_at: float
    """When it ends, by the loop's clock, which is `time.monotonic`; never later than its grant."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    ending: bool = False


class SessionSupervisor:
    """One gateway process and the sessions that live in it."""

    def __init__(self, *, kind: str, name: str, address: str) -> None:
        self.kind, self.name, self.address = kind, name, address
        self.gateway: GatewayProcess
        self._entries: dict[UUID, _Supervised] = {}
        self._closings: list[Closing] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool = ThreadPoolExecutor(_ASKERS, thread_name_prefix="ask")
        self._look_now = asyncio.Event()
        self._close_now = asyncio.Event()
        self._last_look = math.inf
        self._running = True

    async def open(self) -> None:
        """Register the gateway and begin to look after its sessions."""
        await self._arrive()
        for work in (self._look_for_ever(), self._listen_for_ever(), self._close_for_ever()):
            self.spawn(work)

    async def close(self) -> None:
        """End all sessions in order and sign off."""
        self._running = False
        await self.end_all(ClosedBecause.TERMINATED, "The gateway is being stopped.")
        await self._close_some()
        await self.ask(processes.leave, gateway=self.gateway)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=True)

    async def ask[Answer](self, question: Callable[..., Answer], /, **named: Any) -> Answer:
        """Return `question(**named)`, asked in a thread with a database connection of its own
        for just that long.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(_asked, question, named))

    def spawn(self, work: Any, *, awaited: bool = False) -> asyncio.Task[Any]:
        """Run a coroutine beside; what it raises is logged, a refusal as what it is, unless
        somebody awaits it.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done_and_heard if awaited else self._done)
        return task

    def register(self, *, session_id: UUID, live: LiveSession, over_at: float) -> None:
        """Look after a session from now on, until `unregister`; it ends at `over_at`."""
        entry = _Supervised(session_id, live, over_at)
        self._entries[session_id] = entry
        self._set_timers(entry)

    def unregister(self, closing: Closing) -> None:
        """Note that a session is over; it is written down in a moment, however often it takes."""
        entry = self._entries.pop(closing.session_id, None)
        if entry is not None:
            _cancel(entry)
        self._closings.append(closing)
        self._close_now.set()

    def lives(self, session_id: UUID) -> bool:
        return session_id in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    async def end_all(self, because: ClosedBecause, sentence: str) -> None:
        await asyncio.gather(
            *(self._end(entry, because, sentence) for entry in list(self._entries.values()))
        )

    # --- Time -------------------------------------------------------------------------

    def _set_timers(self, entry: _Supervised) -> None:
        _cancel(entry)
        loop = asyncio.get_running_loop()
        entry.timers = [loop.call_at(entry.over_at, self._time_is_over, entry)]
        for seconds in WARN_AT:
            at = entry.over_at - seconds
            if at > loop.time():
                entry.timers.append(loop.call_at(at, self._warn, entry, seconds))

    def _time_is_over(self, entry: _Supervised) -> None:
        self.spawn(self._end(entry, ClosedBecause.EXPIRED, "Your grant has ended."))

    def _warn(self, entry: _Supervised, seconds: float) -> None:
        minutes = round(seconds / 60)
        said = f"{minutes} minutes" if minutes > 1 else "one minute"
        self.spawn(entry.live.warn(f"This session ends in {said}, with your grant."))

    # --- The database -----------------------------------------------------------------

    async def _look_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_look = loop.time()
        while self._running:
            self._look_now.clear()
            left = self._last_look + settings.GATEWAY_FENCE - loop.time()
            try:
                # A database that takes the question and never answers is away as well.
                async with asyncio.timeout(min(_LOOK_WITHIN, max(left, LOOK_EVERY))):
                    await self._look()
                self._last_look = loop.time()
            except Exception:  # the database is away: sessions end by their own clocks
                log.warning("could not look into the database", exc_info=True)
                if loop.time() - self._last_look >= settings.GATEWAY_FENCE:
                    await self.end_all(
                        ClosedBecause.LOST, "The gateway has lost its database, so it ends this."
                    )
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._look_now.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        if not await self.ask(processes.beat, gateway=self.gateway):
            log.error("this gateway was given up; it ends its sessions and starts anew")
            await self.end_all(ClosedBecause.LOST, "The gateway was out of reach for too long.")
            await self._arrive()
            return
        known = list(self._entries.values())
        if not known:
            return
        standings = await self.ask(queries.standings, gateway_id=self.gateway.pk)
        for entry in known:
            standing = standings.get(entry.session_id)
            if standing is None:
                if self.lives(entry.session_id):
                    self._end_soon(entry, ClosedBecause.LOST, "This session was given up.")
            elif standing.over:
                self._end_soon(entry, standing.because, standing.sentence)
            elif not -LOOK_EVERY / 2 < standing.over_at - entry.over_at < _NEARER:
                entry.over_at = standing.over_at
                self._set_timers(entry)

    async def _listen_for_ever(self) -> None:
        async for _ in revoke_channel.listen():
            self._look_now.set()

    async def _arrive(self) -> None:
        self.gateway = await self.ask(
            processes.arrive, kind=self.kind, name=self.name, address=self.address
        )

    # --- Ends -------------------------------------------------------------------------

    def _end_soon(self, entry: _Supervised, because: ClosedBecause, sentence: str) -> None:
        self.spawn(self._end(entry, because, sentence))

    async def _end(self, entry: _Supervised, because: ClosedBecause, sentence: str) -> None:
        if entry.ending:
            return
        entry.ending = True
        try:
            async with asyncio.timeout(_END_WITHIN):
                await entry.live.end(because, sentence)
        except Exception:
            log.exception("session %s did not end in order", entry.session_id)
            entry.live.abort()
            entry.ending = False  # the next look tries again

    async def _close_for_ever(self) -> None:
        while True:
            await self._close_now.wait()
            await asyncio.sleep(_CLOSE_EVERY)
            self._close_now.clear()
            if not await self._close_some():
                await asyncio.sleep(LOOK_EVERY)
                self._close_now.set()

    async def _close_some(self) -> bool:
        closings, self._closings = self._closings, []
        if not closings:
            return True
        try:
            await self.ask(lifecycle.close_many, closings=closings)
        except Exception:
            log.warning("could not note the end of %d sessions", len(closings), exc_info=True)
            self._closings = closings + self._closings
            return False
        return True

    def _done_and_heard(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Else asyncio complains where whoever awaited it left before.

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is None:
            return
        refusals = [one for one in (failure, failure.__cause__) if isinstance(one, DomainError)]
        if refusals:
            log.info("refused: %s", refusals[0].detail)
        else:
            log.error("a gateway's task failed", exc_info=failure)


def _asked[Answer](question: Callable[..., Answer], named: dict[str, Any]) -> Answer:
    try:
        return question(**named)
    finally:
        connections.close_all()


def _cancel(entry: _Supervised) -> None:
    for timer in entry.timers:
        timer.cancel()

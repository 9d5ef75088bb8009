"""An event loop in a thread of its own, which ends as `asyncio.run` ends it: with nothing open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any


class Loop:
    """Runs coroutines for other threads until it is stopped."""

    def __init__(self, name: str) -> None:
        self._stopped = asyncio.Event()
        begun: Future[asyncio.AbstractEventLoop] = Future()

        async def run() -> None:
            begun.set_result(asyncio.get_running_loop())
            await self._stopped.wait()

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), name=name, daemon=True)
        self._thread.start()
        self._loop = begun.result(20)

    def begin[Answer](self, work: Coroutine[Any, Any, Answer]) -> Future[Answer]:
        """Let `work` run there; to cancel what is returned cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def do[Answer](self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run `work` there and return its answer."""
        return self.begin(work).result(20)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a plain function there, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def stop(self) -> None:
        self.call(self._stopped.set)
        self._thread.join(20)

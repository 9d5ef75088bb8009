"""One thread watches over all calls to targets: one for each would cost more than most calls do."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable


class Watchdog:
    """Ends what is still watched when its time is over. Thread-safe; a forked child has a
    thread of its own, and none of the parent's calls.
    """

    def __init__(self) -> None:
        self._runs = False
        self._afresh()
        os.register_at_fork(after_in_child=self._afresh)

    def watch(self, seconds: float, end: Callable[[], object]) -> Callable[[], None]:
        """Have `end` called after `seconds`, from another thread; return what calls that off."""
        at, number = time.monotonic() + seconds, next(self._numbers)
        with self._changed:
            self._watched[number] = end
            heapq.heappush(self._due, (at, number))
            if not self._runs:
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()
                self._runs = True
            elif self._due[0][1] == number:
                self._changed.notify()

        def call_off() -> None:
            self._watched.pop(number, None)

        return call_off

    def _afresh(self) -> None:
        self._numbers = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._watched: dict[int, Callable[[], object]] = {}
        self._due: list[tuple[float, int]] = []
        self._runs = False

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    end = self._watched.pop(heapq.heappop(self._due)[1], None)
                    if end is not None:  # One that hangs must not hold up the others.
                        threading.Thread(target=end, name="watchdog ends", daemon=True).start()
                self._changed.wait(self._due[0][0] - now if self._due else None)


watch = Watchdog().watch

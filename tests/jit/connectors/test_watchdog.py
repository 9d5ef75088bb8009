"""Calls that take too long are ended, each on its own."""

from __future__ import annotations

import os
import threading
from functools import partial

from jit.connectors.watchdog import Watchdog


class TestWatch:
    def test_ends_the_earliest_first_whatever_came_first(self) -> None:
        watchdog, ended, done = Watchdog(), list[str](), threading.Event()
        watchdog.watch(30, done.set)

        def second() -> None:
            ended.append("second")
            done.set()

        watchdog.watch(0.2, second)
        watchdog.watch(0.01, partial(ended.append, "first"))
        assert done.wait(10)
        assert ended == ["first", "second"]

    def test_leaves_alone_what_was_called_off(self) -> None:
        watchdog, ended, done = Watchdog(), list[str](), threading.Event()
        call_off = watchdog.watch(0.01, partial(ended.append, "called off"))
        call_off()
        watchdog.watch(0.05, done.set)
        assert done.wait(10)
        assert ended == []

    def test_one_that_hangs_holds_up_no_other(self) -> None:
        watchdog, hangs, done = Watchdog(), threading.Event(), threading.Event()
        watchdog.watch(0.01, lambda: hangs.wait(30))
        watchdog.watch(0.05, done.set)
        assert done.wait(10)
        hangs.set()

    def test_watches_in_a_forked_child_too(self) -> None:
        watchdog = Watchdog()
        watchdog.watch(30, lambda: None)
        child = os.fork()
        if child == 0:
            done = threading.Event()
            watchdog.watch(0.01, done.set)
            os._exit(0 if done.wait(10) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

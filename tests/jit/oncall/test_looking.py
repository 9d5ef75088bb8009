from __future__ import annotations

import threading

from jit.oncall import looking


def boom() -> str:
    raise ValueError("broken")


class TestAtOnce:
    def test_returns_what_was_answered_and_what_was_raised(self) -> None:
        found = looking.at_once({"a": lambda: "yes", "b": boom}, seconds=5)
        assert found["a"] == "yes"
        assert isinstance(found["b"], ValueError)

    def test_waits_for_nobody_beyond_the_time(self) -> None:
        let_go = threading.Event()
        try:
            found = looking.at_once({"a": lambda: let_go.wait(30), "b": lambda: True}, seconds=0.3)
        finally:
            let_go.set()
        assert found == {"b": True}

    def test_asks_more_than_there_are_threads(self) -> None:
        many = {n: (lambda n=n: n * 2) for n in range(3 * looking.MOST_AT_ONCE)}
        assert looking.at_once(many, seconds=5) == {n: n * 2 for n in many}

    def test_asks_really_at_once(self) -> None:
        together = threading.Barrier(4)
        found = looking.at_once(dict.fromkeys(range(4), lambda: together.wait(5) >= 0), seconds=5)
        assert found == dict.fromkeys(range(4), True)

    def test_of_nothing_is_nothing(self) -> None:
        assert looking.at_once({}, seconds=5) == {}

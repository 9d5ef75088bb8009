"""What ended is brought back, ever more slowly while it keeps dying."""

from __future__ import annotations

import pytest

from jit.ops.embedded.children import DidNotStart
from jit.ops.embedded.watch import HEALTHY_AFTER, LONGEST_PAUSE, Watched


class Frail:
    """A thing that dies when told to."""

    pid = 7

    def __init__(self) -> None:
        self.alive = True
        self.starts = 0
        self.refuses = False

    def running(self) -> bool:
        return self.alive

    def start(self) -> None:
        if self.refuses:
            raise DidNotStart("no such file\nand more")
        self.alive = True
        self.starts += 1


@pytest.fixture
def frail() -> Frail:
    return Frail()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watched(frail, said) -> Watched:
    return Watched(name="web", it=frail, say=said.append, started_at=0.0)


class TestLook:
    def test_leaves_alone_what_runs(self, watched, frail, said):
        watched.look(1.0)
        assert (frail.starts, said) == (0, [])

    def test_starts_it_again_after_a_pause(self, watched, frail, said):
        frail.alive = False
        watched.look(1.0)
        watched.look(1.4)
        assert frail.starts == 0
        watched.look(1.5)
        assert frail.starts == 1
        assert said == [
            "web ended; starting it again in 0.5 s",
            "web runs again (process 7)",
        ]

    def test_waits_twice_as_long_each_time_up_to_a_bound(self, watched, frail):
        pauses, now = [], 0.0
        for _ in range(9):
            frail.alive = False
            watched.look(now)
            assert watched.again_at is not None
            pauses.append(watched.again_at - now)
            now = watched.again_at
            watched.look(now)
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert max(pauses) == LONGEST_PAUSE

    def test_forgets_earlier_ends_once_it_has_run_for_long(self, watched, frail):
        watched.pause = 16.0
        watched.look(HEALTHY_AFTER + 1)
        assert watched.pause == 0.5

    def test_tries_again_when_the_start_fails(self, watched, frail, said):
        frail.alive, frail.refuses = False, True
        watched.look(0.0)
        watched.look(0.5)
        assert said[-1] == "web did not start: no such file"
        frail.refuses = False
        watched.look(1.0)
        watched.look(2.0)
        assert frail.starts == 1

    def test_says_why_when_it_ended_again(self, watched, frail, said, tmp_path):
        watched.log = tmp_path / "web.log"
        watched.log.write_text("begins\nerror: the port is taken\n\n")
        for now in (0.0, 1.0):
            frail.alive = False
            watched.look(now)
            watched.look(now + 0.9)
        frail.alive = False
        watched.look(3.0)
        ends = [line for line in said if "ended" in line]
        assert ends[0] == "web ended; starting it again in 0.5 s"
        assert ends[1] == "web ended (error: the port is taken); starting it again in 1.0 s"

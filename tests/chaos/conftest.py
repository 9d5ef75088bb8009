"""Chaos happens to an installation whose worker can be told where to die."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import installed
from tests.support.processes import Running
from tests.support.stage import CRASHING


class Doomed:
    """The installation, with a worker that kills itself at a given moment of an act."""

    def __init__(self, running: Running, order: Path) -> None:
        self.jit, self._order = running, order
        self._env = {"DJANGO_SETTINGS_MODULE": CRASHING, "TEST_CRASH": str(order)}

    def begin(self) -> None:
        self.jit.stop("worker")
        self.jit.add("doomed", "worker", **self._env)

    def end(self) -> None:
        self._order.unlink(missing_ok=True)
        self.jit.stop("doomed")
        self.jit.start("worker")

    def die_at(self, act: str, moment: int | str) -> None:
        """Let the worker die at this moment of its next `act`: the how-manieth, or one named by
        its step ("after drop").
        """
        draft = self._order.with_suffix(".new")
        draft.write_text(f"{act} {moment}", encoding="ascii")
        draft.rename(self._order)

    @property
    def passed(self) -> str:
        """Return where the worker died, the last death last."""
        path = self._order.with_suffix(".passed")
        return path.read_text(encoding="ascii") if path.exists() else ""

    def was_spared(self) -> bool:
        """Return whether the moment asked for never came; the order is then taken back."""
        spared = self._order.exists()
        self._order.unlink(missing_ok=True)
        return spared


_cells: list[tuple[str, str, float, str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how each cell ended, and what it told of its healing."""
    if report.when == "call" and report.nodeid.startswith("tests/chaos/"):
        told = str(dict(report.user_properties).get("healed", ""))
        _cells.append(
            (report.nodeid.removeprefix("tests/chaos/"), report.outcome, report.duration, told)
        )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of `make chaos`: a line for each cell."""
    if config.option.markexpr != "chaos":
        return
    terminalreporter.section("chaos: cell, outcome, seconds, what healed when")
    for cell, outcome, seconds, told in sorted(_cells):
        terminalreporter.write_line(f"| {cell} | {outcome} | {seconds:.1f} | {told} |")
    total = sum(seconds for _, _, seconds, _ in _cells)
    terminalreporter.write_line(f"{len(_cells)} cells, {total:.0f} s without set-up")


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    yield from installed.shared()


@pytest.fixture
def jit(running: Running) -> Running:
    running.clear()
    return running


@pytest.fixture
def doomed(jit: Running, tmp_path: Path) -> Iterator[Doomed]:
    it = Doomed(jit, tmp_path / "order")
    it.begin()
    yield it
    it.end()

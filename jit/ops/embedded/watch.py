"""Bring back what ended: each watched thing has its own pause, doubling while it keeps dying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jit.ops.embedded.children import DidNotStart
from jit.ops.embedded.postgres import CommandFailed

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
_TAIL = 8192
_LONGEST = 300
HEALTHY_AFTER = 60.0
"""Seconds it must have run before its next end counts as the first again."""


class Runs(Protocol):
    """Whatever can be started and looked at: a child process, a cluster, a Valkey."""

    @property
    def pid(self) -> int | None: ...
    def running(self) -> bool: ...
    def start(self) -> None: ...


@dataclass(kw_only=True)
class Watched:
    """One thing that must be running."""

    name: str
    it: Runs
    say: Callable[[str], None]
    started_at: float
    pause: float = FIRST_PAUSE
    again_at: float | None = None
    log: Path | None = None

    def look(self, now: float) -> None:
        """Start it again if it is gone and its pause is over. `now` is in monotonic seconds."""
        if self.it.running():
            if now - self.started_at > HEALTHY_AFTER:
                self.pause = FIRST_PAUSE
        elif self.again_at is None:
            self.again_at = now + self.pause
            why = self._why() if self.pause > FIRST_PAUSE else ""
            self.say(f"{self.name} ended{why}; starting it again in {self.pause:.1f} s")
            self.pause = min(self.pause * 2, LONGEST_PAUSE)
        elif now >= self.again_at:
            self.again_at = None
            self.started_at = now
            try:
                self.it.start()
            except (DidNotStart, CommandFailed, OSError) as failed:
                self.say(f"{self.name} did not start: {str(failed).splitlines()[0]}")
            else:
                self.say(f"{self.name} runs again (process {self.it.pid})")

    def _why(self) -> str:
        """Return the last line of its log, for something that keeps ending."""
        said = last_line(self.log) if self.log else ""
        return f" ({said})" if said else ""


def last_line(log: Path) -> str:
    """Return the last line of a log that is not empty, cut short; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:_LONGEST] for line in reversed(lines) if line.strip()), "")

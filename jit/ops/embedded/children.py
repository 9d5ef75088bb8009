"""One child process: started in a session of its own, stopped by its pid, never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jit.ops.embedded.ground import Account


class DidNotStart(Exception):
    """A server ended, or took too long, before it was ready; the message shows its last words."""


def _nothing() -> None:
    """Stand in for what is to be done while waiting."""


@dataclass(kw_only=True)
class Child:
    """A child process and how to start it again.

    It gets its own session, so that Ctrl-C at the terminal reaches the supervisor alone, which
    then stops the children in the right order.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    runner: Account | None = None
    stdin: bytes = b""
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start the process; its output is appended to `log`."""
        runner = self.runner
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE if self.stdin else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if self.env is None else dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                user=runner.uid if runner else None,
                group=runner.gid if runner else None,
                extra_groups=[] if runner else None,
            )
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
                pipe.write(self.stdin)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_until(
        self,
        ready: Callable[[], bool],
        *,
        seconds: float = 60,
        meanwhile: Callable[[], None] = _nothing,
    ) -> None:
        """Return when `ready()` holds; raises DidNotStart if the process ends or is too slow.

        `meanwhile` is called all the while; it may raise to give up waiting.
        """
        until = time.monotonic() + seconds
        while not ready():
            meanwhile()
            if not self.running():
                raise DidNotStart(f"{self.name} ended before it was ready:\n{self.last_words()}")
            if time.monotonic() > until:
                raise DidNotStart(
                    f"{self.name} was not ready after {seconds:.0f} s:\n{self.last_words()}"
                )
            time.sleep(0.02)

    def ask_to_stop(self) -> None:
        if self.process and self.running():
            self.process.send_signal(self.stop_signal)

    def stop(self, *, seconds: float = 10) -> None:
        """Ask the process to stop, and kill its whole session if it has not after `seconds`."""
        if self.process is None:
            return
        self.ask_to_stop()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def run_to_end(self, *, seconds: float = 300) -> None:
        """Start the process and wait for it; raises DidNotStart if it fails or is too slow."""
        self.start()
        self.wait_to_end(seconds=seconds)

    def wait_to_end(
        self, *, seconds: float = 300, meanwhile: Callable[[], None] = _nothing
    ) -> None:
        """Wait for a process that ends by itself; raises DidNotStart if it fails or is too slow."""
        until = time.monotonic() + seconds
        while self.running():
            meanwhile()
            if time.monotonic() > until:
                self.stop()
                raise DidNotStart(f"{self.name} took over {seconds:.0f} s:\n{self.last_words()}")
            time.sleep(0.02)
        if self.process and self.process.returncode:
            raise DidNotStart(f"{self.name} failed:\n{self.last_words(lines=40)}")

    def last_words(self, *, lines: int = 15) -> str:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no output)"
        return "\n".join(text.splitlines()[-lines:])


def identity(pid: int) -> str | None:
    """Return what tells the process `pid` from a later one with its number; None if it is gone."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.parent.parent.joinpath("self").exists():
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]  # starttime, see proc(5)
        asked = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except (OSError, IndexError):
        return None
    return asked.stdout.strip() or None


def stop_by_pid(pid: int, known: str, *, seconds: float = 8) -> bool:
    """Stop the process group of `pid` if it still is the process `known`; return whether it was.

    For children of a supervisor that was killed: they are not ours to wait for.
    """
    if identity(pid) != known:
        return False
    until = time.monotonic() + seconds
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGTERM:
                os.kill(pid, number)
            else:
                os.killpg(pid, number)
        while identity(pid) == known and time.monotonic() < until:
            time.sleep(0.05)
        until += 2
    return True


def descendants(pid: int) -> list[int]:
    """Return the processes that descend from `pid`, its children first."""
    asked = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False
    )
    children: dict[int, list[int]] = {}
    for line in asked.stdout.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found = list(children.get(pid, []))
    for each in found:
        found += children.get(each, [])
    return found


def kill(pids: Sequence[int]) -> None:
    """End these processes at once; one that is gone already is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)

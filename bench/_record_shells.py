"""Records the corpus of shells that `bench.guessing` and its test read, with real programs.

Run it as `python -m bench._record_shells [NAME…]`, where bash, dash, zsh, fish, python3, vim and
tmux are. Each scenario is typed letter by letter on a terminal and heard as the SSH gateway hears
it; what are its commands stands beside it, by hand.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any

from bench._shells import SCENARIOS, Scenario
from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.standard_input import StandardInput
from sessions.gateways.ssh.taps import tap_for
from sessions.recording.asciicast import Lines, compact

HERE = Path(__file__).resolve().parents[1] / "tests/sessions/recording/transcript/shells"
QUIET, LETTER = 0.35, 0.006


class _Tape:
    """Takes down lines as a gateway's tape does."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._lines = Lines()

    def mark(self, fact: Any) -> None:
        self._add(self._lines.of_text("m", compact(fact))[1])

    def output(self, data: bytes, *, errors: bool = False) -> None:  # noqa: ARG002 -- a tape's
        self._add(self._lines.of_bytes("o", data)[1])

    def _add(self, line: bytes) -> None:
        if line:
            self.lines.append(line.decode().rstrip("\n"))


def record(scenario: Scenario) -> list[str]:
    """Return the lines of the recording."""
    tape = _Tape()
    asked = Asked()
    asked.terminal("xterm-256color", (100, 30, 0, 0), {})
    tape.mark(asked.fact())
    tap = tap_for(asked, Notes(tape, StandardInput(tape)))
    home = tempfile.mkdtemp(prefix="home")
    for name, text in scenario.files.items():
        (Path(home) / name).write_text(text, encoding="utf-8")
    child, terminal = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored, where this runs in the background
        os.chdir(home)
        env = {"HOME": home, "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        env |= {name: value for name, value in os.environ.items() if name.startswith("PG")}
        os.execvpe(scenario.argv[0], scenario.argv, env | scenario.env)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))

    def hear(quiet: float) -> None:
        while select.select([terminal], [], [], quiet)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                return
            tap.from_host(data)

    hear(max(QUIET, scenario.starts_within))
    for step in scenario.steps:
        if isinstance(step, float):
            hear(step)
            continue
        parts = [step[1:]] if step.startswith("\0") else list(step)
        for part in parts:
            data = part.encode()
            tap.from_person(data)
            os.write(terminal, data)
            hear(LETTER)
        if not scenario.hurried:
            hear(QUIET)
    hear(1.0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    shutil.rmtree(home, ignore_errors=True)
    names = {home: "/home/rita", f"@{socket.gethostname()}": "@web-1"}
    return [_renamed(line, names) for line in tape.lines]


def _renamed(line: str, names: dict[str, str]) -> str:
    """Return the line without what belongs to this machine."""
    for ours, theirs in names.items():
        line = line.replace(ours, theirs)
    return line


def main(wanted: list[str]) -> None:
    HERE.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        if wanted and scenario.name not in wanted:
            continue
        if shutil.which(scenario.argv[0]) is None:
            print(f"{scenario.name}: there is no {scenario.argv[0]}")
            continue
        began = time.monotonic()
        head = json.dumps(
            {"program": scenario.argv[0], "commands": scenario.commands}, ensure_ascii=False
        )
        lines = [head, *record(scenario)]
        (HERE / f"{scenario.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{scenario.name}: {len(lines)} lines, {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

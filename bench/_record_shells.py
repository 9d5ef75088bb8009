"""Records the two corpora of shells that `bench.guessing` and its test read, with real programs.

Run it as `python -m bench._record_shells shells|held-out [NAME…]` where the programs are: bash,
dash, zsh, fish, python3, vim, tmux; for the second also mksh, busybox, screen, nano, sudo, git,
sqlite3, gdb, ipython3, irb, lua5.4, node, and mariadb with a server at MYSQL_UNIX_PORT. Each
scenario is typed letter by letter on a terminal and heard as the SSH gateway hears it; what are
its commands stands beside it, by hand. Run it where the host's name may be known, as by
`unshare --uts sh -c 'hostname web-1 && exec …'`: line editors count its letters.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import Any, NoReturn

from bench import _held_out_shells, _shells
from bench._shells import Scenario, Step
from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.notes import Notes
from sessions.gateways.ssh.standard_input import StandardInput
from sessions.gateways.ssh.taps import tap_for
from sessions.recording.asciicast import Lines, compact

HERE = Path(__file__).resolve().parents[1] / "tests/sessions/recording/transcript"
CORPORA = {"shells": _shells.SCENARIOS, "held-out": _held_out_shells.SCENARIOS}
_WHERE_AM_I, _TOP_LEFT = b"\x1b[6n", b"\x1b[1;1R"
"""The cursor's place, asked of the terminal and told by it (ECMA-48, DSR and CPR)."""
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

    def resize(self, columns: int, rows: int) -> None:
        self._add(self._lines.of_text("r", f"{columns}x{rows}")[1])

    def _add(self, line: bytes) -> None:
        if line:
            self.lines.append(line.decode().rstrip("\n"))


class _Terminal:
    """A program on a terminal of its own, heard by a tap."""

    def __init__(self, scenario: Scenario, home: str) -> None:
        self.tape = _Tape()
        asked = Asked()
        asked.terminal("xterm-256color", (100, 30, 0, 0), {})
        self.tape.mark(asked.fact())
        self._tap = tap_for(asked, Notes(self.tape, StandardInput(self.tape)))
        self._hurried = scenario.hurried
        self.child, self.descriptor = pty.fork()
        if not self.child:
            _become(scenario, home)
        self._resize(100, 30)

    def take(self, step: Step) -> None:
        """Do one step of a scenario."""
        if isinstance(step, float):
            self.hear(step)
            return
        if isinstance(step, tuple):
            self._resize(*step)
        else:
            for part in [step[1:]] if step.startswith("\0") else list(step):
                self._say(part.encode())
                self.hear(LETTER)
        if not self._hurried:
            self.hear(QUIET)

    def hear(self, quiet: float) -> None:
        """Hear what is shown until nothing was for so many seconds."""
        while select.select([self.descriptor], [], [], quiet)[0]:
            try:
                data = os.read(self.descriptor, 65536)
            except OSError:
                return
            self._tap.from_host(data)
            if _WHERE_AM_I in data:
                self._say(_TOP_LEFT)

    def _say(self, data: bytes) -> None:
        self._tap.from_person(data)
        os.write(self.descriptor, data)

    def _resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, size)
        self.tape.resize(columns, rows)


def record(scenario: Scenario) -> list[str]:
    """Return the lines of the recording."""
    home = tempfile.mkdtemp(prefix="home")
    for name, text in scenario.files.items():
        (Path(home) / name).write_text(text, encoding="utf-8")
    terminal = _Terminal(scenario, home)
    terminal.hear(max(QUIET, scenario.starts_within))
    for step in scenario.steps:
        terminal.take(step)
    terminal.hear(1.0)
    os.kill(terminal.child, signal.SIGKILL)
    os.waitpid(terminal.child, 0)
    os.close(terminal.descriptor)
    shutil.rmtree(home, ignore_errors=True)
    return [line.replace(home, "/home/rita") for line in terminal.tape.lines]


def _become(scenario: Scenario, home: str) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored, where this runs in the background
    os.chdir(home)
    env = {"HOME": home, "PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    env |= {name: value for name, value in os.environ.items() if name.startswith(("PG", "MYSQL_"))}
    os.execvpe(scenario.argv[0], scenario.argv, env | scenario.env)


def main(corpus: str, *wanted: str) -> None:
    here = HERE / corpus
    here.mkdir(exist_ok=True)
    for scenario in CORPORA[corpus]:
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
        (here / f"{scenario.name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{scenario.name}: {len(lines)} lines, {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

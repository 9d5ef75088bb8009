"""npm `prism` as a real process: it answers by an OpenAPI document and checks what we send."""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from jit.ops.embedded import ground
from tests.standins import slack_emulator

HERE = Path(__file__).resolve().parent / "prism"
PRISM = HERE / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
DOCUMENT = HERE / "pagerduty.yaml"


class NotInstalled(AssertionError):
    """Prism is not there: `npm ci --ignore-scripts` in tests/standins/prism installs it."""


def install() -> None:
    """Fetch prism exactly as locked, and the Node it needs, once."""
    slack_emulator.install()
    if PRISM.exists():
        return
    npm = shutil.which("npm") or "npm"
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(command, cwd=HERE, check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as failure:
        raise NotInstalled(f"npm could not fetch tests/standins/prism: {failure}") from failure


class Prism:
    """One running prism. Never with `--errors`: it reports what is wrong in `sl-violations`."""

    def __init__(self) -> None:
        install()
        self.port = ground.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- open as long as it runs
        command = [slack_emulator.NODE, PRISM, "mock", "-p", str(self.port), DOCUMENT]
        self._process = subprocess.Popen(
            command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL, cwd=HERE
        )
        atexit.register(self.stop)
        self._wait()

    def _wait(self) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/oncalls", timeout=5).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                return
            except OSError:
                time.sleep(0.1)
        self._process.kill()
        self._log.seek(0)
        raise AssertionError(f"prism did not start:\n{self._log.read()}")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

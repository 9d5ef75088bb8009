"""`make slack-demo`: look at somebody's messages in the demo Slack, and press their buttons.

It stands in for a person at a Slack client: it reads what was posted, and sends what Slack would
send when that button is pressed, signed as Slack signs it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jit.ops.embedded import demo_slack

PATIENCE = 10.0
DIRECT = ("approve", "done")
"""The buttons that act by themselves; the others open a modal or a page."""


class Refused(Exception):
    """It can't be done; the message says why."""


class Person:
    """One member of the demo's workspace."""

    def __init__(self, notes: dict[str, Any], name: str) -> None:
        if name not in notes["people"]:
            raise Refused(f"nobody is called {name!r}; there are: {', '.join(notes['people'])}")
        self._notes = notes
        self.name = name
        self.id = str(self._ask("users.lookupByEmail", email=f"{name}@demo.invalid")["user"]["id"])
        self._channel = str(self._ask("conversations.open", users=self.id)["channel"]["id"])

    def messages(self) -> list[dict[str, Any]]:
        """Return what the app wrote to this person, newest first, each with its thread."""
        found = self._ask("conversations.history", channel=self._channel, limit=20)["messages"]
        return [
            message | {"thread": self._thread(message["ts"])}
            for message in found
            if message.get("thread_ts") in {None, message["ts"]}
        ]

    def press(self, action: str) -> None:
        """Press the newest button of this action. Raises Refused."""
        if action not in DIRECT:
            raise Refused(
                f"{action!r} opens a modal or a page, which this demo can't show: "
                "press one of approve and done here, and do the rest on the web"
            )
        for message in self.messages():
            for button in _buttons(message):
                if button["action_id"] == action:
                    self._send(message, button)
                    return
        raise Refused(f"no message to {self.name} shows a button {action!r} now")

    def _thread(self, ts: str) -> list[dict[str, Any]]:
        answer = self._ask("conversations.replies", channel=self._channel, ts=ts, limit=50)
        return [reply for reply in answer["messages"] if reply["ts"] != ts]

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 -- the demo's own address, on loopback
            self._notes["slack"] + method,
            data=json.dumps(arguments).encode(),
            headers={
                "Authorization": f"Bearer {self._notes['token']}",
                "Content-Type": "application/json; charset=utf-8",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
            found: dict[str, Any] = json.load(answer)
        if not found["ok"]:
            raise Refused(f"the demo Slack says {found.get('error')} to {method}")
        return found

    def _send(self, message: dict[str, Any], button: dict[str, Any]) -> None:
        team = self._notes["team"]
        payload = {
            "type": "block_actions",
            "user": {"id": self.id, "username": self.name, "name": self.name, "team_id": team},
            "team": {"id": team, "domain": "demo"},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": self._notes["app_id"],
            "trigger_id": "",
            "container": {
                "type": "message",
                "message_ts": message["ts"],
                "channel_id": self._channel,
                "is_ephemeral": False,
            },
            "channel": {"id": self._channel, "name": "directmessage"},
            "actions": [
                {
                    "type": "button",
                    "action_id": button["action_id"],
                    "block_id": button.get("block_id", "b"),
                    "text": button["text"],
                    "value": button.get("value", ""),
                    "action_ts": f"{time.time():.6f}",
                }
            ],
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = str(int(time.time()))
        signed = b"v0:" + stamp.encode() + b":" + body
        digest = hmac.new(self._notes["secret"].encode(), signed, hashlib.sha256).hexdigest()
        request = urllib.request.Request(  # noqa: S310 -- the demo's own address, on loopback
            self._notes["app"] + "/slack/interactivity/",
            data=body,
            headers={"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"},
        )
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310 -- as above
            pass


def _buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return [button for row in rows for button in row]


def drawn(message: dict[str, Any]) -> str:
    """Return a message as a terminal shows it, with its buttons and its thread."""
    lines = []
    for block in message["blocks"]:
        if block["type"] == "header":
            lines += [block["text"]["text"], "-" * len(block["text"]["text"])]
        elif block["type"] == "actions":
            shown = [f"[{one['text']['text']}: {one['action_id']}]" for one in block["elements"]]
            lines.append(" ".join(shown))
        else:
            lines += _words(block).splitlines()
    for reply in message["thread"]:
        said = [_words(block) for block in reply["blocks"] if block["type"] != "actions"]
        lines.append("    ↳ " + " ".join(said))
    return "\n".join(f"  {line}" for line in lines)


def _words(part: Any) -> str:
    if isinstance(part, list):
        return "".join(_words(one) for one in part)
    if not isinstance(part, dict):
        return ""
    if part.get("type") == "date":
        return str(part["fallback"])
    text = part.get("text")
    mark = "> " if part.get("type") == "rich_text_quote" else ""
    return mark + (text if isinstance(text, str) else _words(text)) + _words(part.get("elements"))


def _until[Seen](look: Callable[[], Seen], before: Seen) -> Seen:
    """Return what is seen once it differs from `before`, or after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while (seen := look()) == before and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def main(name: str, action: str) -> int:
    """Show a person's messages; press a button first, if one is named."""
    notes = demo_slack.notes(Path(os.environ.get("JIT_DATA") or ".data"))
    if notes is None:
        sys.stderr.write("there is no demo Slack here: start it with JIT_DEMO_SLACK=1 make run\n")
        return 1
    try:
        person = Person(notes, name)
        shown = [drawn(message) for message in person.messages()]
        if action:
            person.press(action)
            shown = _until(lambda: [drawn(message) for message in person.messages()], shown)
    except Refused as why:
        sys.stderr.write(f"{why}\n")
        return 1
    except (urllib.error.URLError, ConnectionError) as away:
        sys.stderr.write(f"the demo does not answer ({away}): is `make run` running?\n")
        return 1
    sys.stdout.write(f"Slack, to {name}:\n\n" + ("\n\n".join(shown) or "  (no message)") + "\n")
    return 0


if __name__ == "__main__":
    given = [*sys.argv[1:], "", ""]
    sys.exit(main(given[0] or "ada", given[1]))

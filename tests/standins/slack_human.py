"""A person at a Slack client, ours: reads what the emulator shows, presses what is there, signs
the payload as Slack does and posts it to the application. It imports nothing of the application.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

from slack_sdk.signature import SignatureVerifier

from tests.standins import slack_schemas
from tests.standins.slack_emulator import APP, TEAM, Emulator
from tests.standins.slack_faults import Faults

_clicks = itertools.count(1)
_LATER = "trigger to come"


class NoSuchButton(AssertionError):
    """The message shows no such button."""


class ResponseUrl:
    """Where Slack would take replies that only the clicker sees."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.said.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/actions/x"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def last(self) -> str:
        return text_of(self.said[-1]["blocks"]) if self.said else ""


@dataclass
class Signed:
    """One request as Slack would send it."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Workspace:
    """The emulator, what stands before it, and the secret that Slack signs with."""

    emulator: Emulator
    faults: Faults
    secret: str
    replies: ResponseUrl
    began: float

    def sign(
        self,
        path: str,
        body: bytes,
        *,
        at: float | None = None,
        secret: str | None = None,
        content_type: str = "application/x-www-form-urlencoded",
    ) -> Signed:
        stamp = str(int(at if at is not None else time.time()))
        signature = SignatureVerifier(secret or self.secret).generate_signature(
            timestamp=stamp, body=body.decode()
        )
        return Signed(
            path,
            body,
            {
                "Content-Type": content_type,
                "X-Slack-Request-Timestamp": stamp,
                "X-Slack-Signature": signature or "",
            },
        )

    def human(self, name: str) -> Human:
        return Human(self, name, self.emulator.users[name])


@dataclass
class Human:
    """One member of the workspace."""

    workspace: Workspace
    name: str
    id: str
    team: str = TEAM

    # --- Reading -----------------------------------------------------------------------

    def messages(self) -> list[dict[str, Any]]:
        """Return what the app wrote to this person since the test began, newest first."""
        emulator = self.workspace.emulator
        channel = emulator.direct_channel(self.name)
        return [
            {**message, "channel": channel}
            for message in emulator.history(channel)
            if float(message["ts"]) >= self.workspace.began
        ]

    def message(self) -> dict[str, Any]:
        """Return the one message there is."""
        found = self.messages()
        assert len(found) == 1, [text_of(message["blocks"]) for message in found]
        return found[0]

    def thread(self) -> list[str]:
        """Return the replies under the one message, oldest first."""
        return [text_of(reply["blocks"]) for reply in self.replies(self.message())]

    def replies(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        return self.workspace.emulator.replies(message["channel"], message["ts"])

    def modal(self) -> dict[str, Any]:
        """Return the view that the app opened or updated last."""
        calls = self.workspace.faults
        views = [call for call in calls.journal if call.method in {"views.open", "views.update"}]
        assert views, "no modal was opened"
        assert views[-1].answer["ok"], views[-1].answer
        found: dict[str, Any] = views[-1].answer["view"]
        return found

    def home(self) -> dict[str, Any]:
        views = self.workspace.faults.calls("views.publish")
        mine = [call for call in views if call.body["user_id"] == self.id]
        assert mine, "no home was published"
        found: dict[str, Any] = mine[-1].answer["view"]
        return found

    # --- Acting ------------------------------------------------------------------------

    def press(self, action: str, message: dict[str, Any] | None = None, **more: Any) -> Signed:
        """Press the button with this action in the message (by default the one there is)."""
        return self.press_payload(self.click(action, message, **more))

    def click(
        self, action: str, message: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Return the block_actions payload of pressing a button that the message shows."""
        shown = message if message is not None else self.message()
        button = button_of(shown["blocks"], action)
        stamp = f"{time.time():.6f}"
        payload = {
            **self._who(username=self.name),
            **(self._in_view(shown) if "root_view_id" in shown else self._in_message(shown)),
            "type": "block_actions",
            "api_app_id": APP,
            "token": "deprecated",
            "trigger_id": _LATER,
            "actions": [
                {
                    "type": "button",
                    "action_id": button["action_id"],
                    "block_id": button.get("block_id", "b1"),
                    "text": button["text"],
                    "value": button.get("value", ""),
                    "action_ts": stamp,
                }
            ],
            **more,
        }
        # The types ask for a response_url everywhere; a click in the App Home has none.
        slack_schemas.check("Click", {"response_url": "", **payload})
        return {**payload, "trigger_id": self._trigger()}

    def _in_message(self, shown: dict[str, Any]) -> dict[str, Any]:
        return {
            "container": {
                "type": "message",
                "message_ts": shown["ts"],
                "channel_id": shown["channel"],
                "is_ephemeral": False,
            },
            "channel": {"id": shown["channel"], "name": "directmessage"},
            "message": {name: shown[name] for name in ("type", "user", "text", "ts", "blocks")},
            "state": {"values": {}},
            "response_url": self.workspace.replies.url,
        }

    @staticmethod
    def _in_view(shown: dict[str, Any]) -> dict[str, Any]:
        # Slack's types give each view a title; the emulator says null for a home.
        view = {**shown, "title": shown["title"] or {"type": "plain_text", "text": "Home"}}
        return {"container": {"type": "view", "view_id": shown["id"]}, "view": view}

    def press_payload(self, payload: dict[str, Any]) -> Signed:
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return self.workspace.sign("/slack/interactivity/", body)

    def submit(self, view: dict[str, Any] | None = None, **typed: str) -> Signed:
        """Submit the modal with these words in its fields."""
        shown = view if view is not None else self.modal()
        values: dict[str, Any] = {}
        for block in shown["blocks"]:
            if block["type"] != "input":
                continue
            element, name = block["element"], block["block_id"]
            words = typed.get(name, element.get("initial_value"))
            if element["type"] == "external_select":
                option = {"text": {"type": "plain_text", "text": words}, "value": words}
                values[name] = {
                    element["action_id"]: {"type": "external_select", "selected_option": option}
                }
            else:
                values[name] = {
                    element["action_id"]: {"type": "plain_text_input", "value": words or None}
                }
        payload = {
            **self._who(),
            "type": "view_submission",
            "api_app_id": APP,
            "token": "deprecated",
            "trigger_id": _LATER,
            "response_urls": [],
            "view": {**shown, "state": {"values": values}},
        }
        slack_schemas.check("Submission", payload)
        return self.press_payload({**payload, "trigger_id": self._trigger()})

    def search(self, words: str) -> Signed:
        payload = {
            **self._who(),
            "type": "block_suggestion",
            "api_app_id": APP,
            "token": "deprecated",
            "container": {"type": "view", "view_id": "V1"},
            "action_id": "role",
            "block_id": "role",
            "value": words,
        }
        slack_schemas.check("Suggestion", payload)
        return self.press_payload(payload)

    def command(self, text: str) -> Signed:
        """Type `/jit text`."""
        form = {
            "token": "deprecated",
            "team_id": self.team,
            "team_domain": "orders",
            "channel_id": "C1",
            "channel_name": "general",
            "user_id": self.id,
            "user_name": self.name,
            "command": "/jit",
            "text": text,
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "response_url": self.workspace.replies.url,
            "trigger_id": _LATER,
        }
        slack_schemas.check("Command", form)
        form["trigger_id"] = self._trigger()
        return self.workspace.sign("/slack/commands/", urlencode(form).encode())

    def event(self, event: dict[str, Any], event_id: str = "") -> Signed:
        payload = {
            "token": "deprecated",
            "team_id": self.team,
            "api_app_id": APP,
            "event": event,
            "type": "event_callback",
            "event_id": event_id or f"Ev{next(_clicks):09d}{time.time_ns()}",
            "event_time": int(time.time()),
        }
        return self.workspace.sign(
            "/slack/events/", json.dumps(payload).encode(), content_type="application/json"
        )

    def opens_home(self) -> Signed:
        return self.event(
            {
                "type": "app_home_opened",
                "user": self.id,
                "channel": "D1",
                "tab": "home",
                "event_ts": "1.0",
            }
        )

    def _who(self, **more: str) -> dict[str, Any]:
        return {
            "user": {"id": self.id, "name": self.name, "team_id": self.team, **more},
            "team": {"id": TEAM, "domain": "orders"},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _trigger(self) -> str:
        """Return a fresh trigger, which lives three seconds at the emulator as at Slack: it is
        made once the payload was checked, which takes longer than that the first time.
        """
        found = self.workspace.emulator.call("views.generateTriggerId", user_id=self.id)
        return str(found["trigger_id"])


def button_of(blocks: list[dict[str, Any]], action: str) -> dict[str, Any]:
    for block in blocks:
        for element in block.get("elements", []):
            if element.get("action_id") == action:
                return {**element, "block_id": block.get("block_id", "b1")}
    raise NoSuchButton(f"{action} is not among {buttons_of(blocks)}")


def buttons_of(blocks: list[dict[str, Any]]) -> list[str]:
    return [
        element["action_id"]
        for block in blocks
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def text_of(blocks: list[dict[str, Any]]) -> str:
    """Return every word that the blocks show, in order."""
    words: list[str] = []

    def walk(part: Any) -> None:
        if isinstance(part, list):
            for one in part:
                walk(one)
        elif isinstance(part, dict):
            if part.get("type") == "date":
                words.append(part["fallback"])
                return
            if isinstance(part.get("text"), str):
                words.append(part["text"])
            for value in part.values():
                if isinstance(value, (dict, list)):
                    walk(value)

    walk(blocks)
    return " ".join(" ".join(words).split())

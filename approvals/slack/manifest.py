"""The app as Slack should know it: written to deploy/slack-manifest.yaml and compared with it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import yaml

SCOPES = (
    "chat:write",
    "commands",
    "im:history",
    "im:write",
    "users:read",
    "users:read.email",
)
"""`im:history` is for finding our own message after a lost answer, so that none is sent twice."""
EVENTS = ("app_home_opened", "app_uninstalled", "tokens_revoked", "user_change")
PLACEHOLDER = "https://jit.example.com"


def manifest(*, base_url: str = PLACEHOLDER, socket_mode: bool = False) -> dict[str, Any]:
    """Return the app's manifest for an installation at `base_url`."""

    def at(path: str) -> str:
        return urljoin(base_url.rstrip("/") + "/", path)

    interactivity: dict[str, Any] = {"is_enabled": True}
    events: dict[str, Any] = {"bot_events": list(EVENTS)}
    command: dict[str, Any] = {
        "command": "/jit",
        "description": "Ask for a role, see yours, give one back",
        "usage_hint": "request | my | done | status | link CODE",
        "should_escape": True,
    }
    if not socket_mode:
        interactivity["request_url"] = at("slack/interactivity/")
        interactivity["message_menu_options_url"] = at("slack/interactivity/")
        events["request_url"] = at("slack/events/")
        command["url"] = at("slack/commands/")
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "JIT access",
            "description": "Just-in-time privileged access: ask, approve, give back.",
            "background_color": "#1f2937",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "jit", "always_online": True},
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,
        },
    }


def as_yaml(*, base_url: str = PLACEHOLDER, socket_mode: bool = False) -> str:
    """Return the manifest as the file that is committed."""
    head = (
        "# Slack app manifest, written by `manage.py slack_manifest --write`: paste it at\n"
        "# https://api.slack.com/apps, with your own address in place of jit.example.com.\n"
    )
    return head + yaml.safe_dump(
        manifest(base_url=base_url, socket_mode=socket_mode), sort_keys=False, width=100
    )

"""Slack's events: somebody opened the App Home, an account changed, the app was removed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from approvals.slack import app_home, links
from jit.kernel import clock

log = logging.getLogger(__name__)


def essence(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an event is acted on; empty for an event that means nothing here."""
    event = payload.get("event")
    if not isinstance(event, dict):
        return {}
    kind = event.get("type")
    found = {
        "action": "event",
        "event": kind,
        "team": str(payload.get("team_id", ""))[:40],
        "app": str(payload.get("api_app_id", ""))[:40],
    }
    if kind == "app_home_opened" and event.get("tab") == "home":
        return {**found, "slack_user": str(event.get("user", ""))[:40]}
    if kind == "user_change" and isinstance(event.get("user"), dict):
        known = ("id", "team_id", "deleted", "is_bot", "is_restricted", "is_ultra_restricted")
        return {
            **found,
            "profile": {name: event["user"][name] for name in known if name in event["user"]},
        }
    return found if kind in {"app_uninstalled", "tokens_revoked"} else {}


def work(body: Mapping[str, Any]) -> str:
    """Act on an event's essence. Raises NotOurWorkspace."""
    found = links.require_ours(team_id=body["team"], user_team="", app_id=body["app"])
    if body["event"] == "app_home_opened":
        app_home.opened(team_id=found.team_id, slack_user_id=body["slack_user"])
    elif body["event"] == "user_change":
        links.standing_changed(team_id=found.team_id, profile=body["profile"], now=clock.now())
    else:
        log.error(
            "Slack says %s: requests are answered on the web until it is mended", body["event"]
        )
    return "done"

"""The one function behind Slack's three addresses and behind Socket Mode.

It answers within Slack's three seconds: it writes the payload down, does what must be in the
answer itself, and leaves the rest to tasks.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Any

from approvals.slack import commands, events, interactions, payloads
from jit.kernel.errors import DomainError

log = logging.getLogger(__name__)

INTERACTIVITY, COMMANDS, EVENTS = "interactivity", "commands", "events"

type Answer = dict[str, Any]


def answer(*, door: str, payload: Mapping[str, Any], digest: str, now: dt.datetime) -> Answer:
    """Return the body of the acknowledgement, {} for none. `digest` names these very bytes:
    the same one again gets the first answer. What is malformed is answered with {} as well,
    for Slack would only deliver it again.
    """
    if not isinstance(payload, Mapping):
        return {}
    doors: dict[str, Callable[..., Answer]] = {
        INTERACTIVITY: _interaction,
        COMMANDS: _command,
        EVENTS: _event,
    }
    try:
        return doors[door](payload, digest, now)
    except DomainError as refusal:
        log.info("Slack: refused: %s", refusal)
        return {}


def _interaction(payload: Mapping[str, Any], digest: str, now: dt.datetime) -> Answer:
    kind = str(payload.get("type"))
    if kind == "block_suggestion":
        return interactions.suggest(payload, now=now)
    if kind == "block_actions":
        return _actions(payload, digest, now)
    if kind == "view_submission":
        return _once(
            kind=f"view:{interactions.callback_of(payload)}",
            digest=digest,
            work=lambda: interactions.submitted(payload, digest=digest, now=now),
            now=now,
        )
    if kind in {"shortcut", "message_action"}:
        return _once(
            kind="shortcut",
            digest=digest,
            work=lambda: interactions.open_request(payload, now=now),
            now=now,
        )
    return {}


def _actions(payload: Mapping[str, Any], digest: str, now: dt.datetime) -> Answer:
    act = interactions.act_of(payload)
    if act is None:
        return {}
    if act["action"] in interactions.QUEUED:
        payloads.remember(digest=digest, kind=act["action"], body=act, queued=True, now=now)
        return {}
    if act["action"] in interactions.MODALS:
        return _once(
            kind=f"open:{act['action']}",
            digest=digest,
            work=lambda: interactions.open_modal(act, now=now),
            now=now,
        )
    return {}  # A link's button: Slack tells us, and nothing is to be done.


def _command(payload: Mapping[str, Any], digest: str, now: dt.datetime) -> Answer:
    return _once(
        kind="command", digest=digest, work=lambda: commands.answer(payload, now=now), now=now
    )


def _event(payload: Mapping[str, Any], digest: str, now: dt.datetime) -> Answer:
    if payload.get("type") == "url_verification":
        return {"challenge": str(payload.get("challenge", ""))[:200]}
    event_id = str(payload.get("event_id", ""))[:60]
    known = f"event:{event_id}" if event_id else digest
    body = events.essence(payload)
    if body:
        payloads.remember(
            digest=known, kind=f"event:{body['event']}", body=body, queued=True, now=now
        )
    return {}


def _once(*, kind: str, digest: str, work: Callable[[], Answer], now: dt.datetime) -> Answer:
    received = payloads.remember(digest=digest, kind=kind, body={}, queued=False, now=now)
    if not received.first:
        return received.row.answer or {}
    given = work()
    payloads.answered(received.row, given)
    return given

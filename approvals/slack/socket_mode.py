"""Slack behind a firewall: one connection outwards, and the same function as the addresses."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.db import close_old_connections
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from approvals.slack import client, config, payloads, receive
from jit.kernel import clock
from jit.kernel.errors import InvalidInput

log = logging.getLogger(__name__)

DOORS = {
    "interactive": receive.INTERACTIVITY,
    "slash_commands": receive.COMMANDS,
    "events_api": receive.EVENTS,
}


class NoAppToken(InvalidInput):
    """Socket Mode takes an app-level token."""


def answer(envelope: SocketModeRequest) -> dict[str, Any]:
    """Return what acknowledges an envelope; a redelivered one gets the first answer."""
    door = DOORS.get(envelope.type)
    if door is None:
        return {}
    return receive.answer(
        door=door,
        payload=envelope.payload,
        digest=f"envelope:{envelope.envelope_id}",
        now=clock.now(),
    )


def _listener(connection: BaseSocketModeClient, envelope: SocketModeRequest) -> None:
    close_old_connections()
    try:
        payload = answer(envelope)
        connection.send_socket_mode_response(
            SocketModeResponse(envelope_id=envelope.envelope_id, payload=payload or None)
        )
        payloads.hint()
    except Exception:  # unacknowledged, so Slack delivers it again
        log.exception("an envelope of Slack's could not be answered")
    finally:
        close_old_connections()


def connect() -> SocketModeClient:
    """Return a client that is connected and answers. Raises NoAppToken and SlackIsOff."""
    found = config.required()
    if not found.app_token:
        raise NoAppToken("Socket Mode needs JIT_SLACK_APP_TOKEN_FILE (an xapp- token).")
    connection = SocketModeClient(app_token=found.app_token, web_client=client.web(), concurrency=4)
    connection.socket_mode_request_listeners.append(_listener)
    connection.connect()
    return connection


def run(stop: threading.Event) -> None:
    """Stay connected until `stop` is set; slack-sdk itself reconnects when Slack asks for it."""
    connection = connect()
    log.info("connected to Slack by Socket Mode")
    try:
        stop.wait()
    finally:
        connection.close()

"""Slack behind a firewall: one connection outwards, and the same function as the addresses."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from django.db import close_old_connections
from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.client import BaseSocketModeClient
from slack_sdk.socket_mode.interval_runner import IntervalRunner
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


LOOK_EVERY = 1.0
"""Seconds between looks at whether the other end is still there."""


class NoAppToken(InvalidInput):
    """Socket Mode takes an app-level token."""


class Client(SocketModeClient):
    """slack-sdk's client, which notices at once that the line was cut.

    By itself it goes on reading nothing, as fast as it can, until five pings have failed: half a
    minute without an answer to anybody.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self._looking = IntervalRunner(self._look, LOOK_EVERY)

    def connect(self) -> None:
        super().connect()
        if not self._looking.is_alive():
            self._looking.start()

    def close(self) -> None:
        if self._looking.is_alive():
            self._looking.shutdown()  # type: ignore[no-untyped-call]  # slack-sdk has no types here
        super().close()

    def _look(self) -> None:
        session = self.current_session
        line = session.sock if session is not None else None
        if session is None or line is None or not _hung_up(line):
            return
        log.warning("the connection to Slack was cut: connecting again")
        session.disconnect()
        try:
            self.connect_to_new_endpoint()
        except Exception:  # slack-sdk tries on, every few seconds
            log.warning("Slack can't be reached", exc_info=True)


def _hung_up(line: socket.socket) -> bool:
    """Return whether the other end is gone and all that it sent was read."""
    try:
        with socket.socket(fileno=os.dup(line.fileno())) as same:
            return same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


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
    connection = Client(app_token=found.app_token, web_client=client.web(), concurrency=4)
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

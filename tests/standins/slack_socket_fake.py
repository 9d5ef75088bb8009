"""A fake of ours of Slack's Socket Mode: the websocket that envelopes come through, since no
stand-in that others wrote has one. It speaks the envelopes as documented:
<https://docs.slack.dev/apis/events-api/using-socket-mode/>.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
import uuid
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.standins.slack_emulator import APP

PATIENCE = 20


class FakeSocketMode:
    """The server. It tells how often somebody connected, and takes acknowledgements by envelope."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.acknowledged: queue.Queue[dict[str, Any]] = queue.Queue()
        self._connected = threading.Semaphore(0)
        self._server: Server = serve(self._talk, "127.0.0.1", 0)
        self.port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/link/?ticket=1&app_id={APP}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        self._send(
            connection,
            {
                "type": "hello",
                "num_connections": 1,
                "connection_info": {"app_id": APP},
                "debug_info": {"host": "fake", "approximate_connection_time": 18060},
            },
        )
        self._connected.release()
        try:
            for message in connection:
                self.acknowledged.put(json.loads(message))
        except ConnectionClosed:
            return

    @staticmethod
    def _send(connection: ServerConnection, message: dict[str, Any]) -> None:
        connection.send(json.dumps(message))

    def wait_for_a_connection(self) -> None:
        assert self._connected.acquire(timeout=PATIENCE), "nobody connected"

    def deliver(
        self, kind: str, payload: dict[str, Any], *, envelope_id: str = "", again: int = 0
    ) -> dict[str, Any]:
        """Send an envelope and return its acknowledgement; `again` counts re-deliveries."""
        envelope: dict[str, Any] = {
            "type": kind,
            "envelope_id": envelope_id or str(uuid.uuid4()),
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": again, "retry_reason": "timeout" if again else ""}
        self._send(self.connections[-1], envelope)
        answer = self.acknowledged.get(timeout=PATIENCE)
        assert answer["envelope_id"] == envelope["envelope_id"]
        return answer

    def refresh(self) -> None:
        """Ask for another connection, as Slack does every few hours, and close this one."""
        old = self.connections[-1]
        self._send(
            old,
            {"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "fake"}},
        )
        self.wait_for_a_connection()
        old.close()

    def cut(self) -> None:
        """Cut the line in the middle of a message: half a frame, no close frame, nobody there."""
        line = self.connections[-1].socket
        line.sendall(b"\x81\x7e\x10\x00" + b'{"type": "interactive", "enve')
        line.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        self._server.shutdown()

"""Between us and the emulator: a server of ours that fails as Slack and networks fail.

It also keeps a journal of the calls, and answers for what the emulator can't hold (guests, Socket
Mode's address).
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Call:
    method: str
    body: dict[str, Any]
    answer: dict[str, Any] = field(default_factory=dict)


Fault = Callable[[BaseHTTPRequestHandler], bool]
"""Answers in Slack's place and returns True, or returns False to let the call through."""


class Faults:
    """The server. `next(method, kind, times)` plans a fault; `down` refuses everything."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.journal: list[Call] = []
        self.profiles: dict[str, dict[str, Any]] = {}
        self.headers: dict[str, str] = {}
        self.answers: dict[str, dict[str, Any]] = {}
        self.down = False
        self._planned: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            do_GET = do_POST  # noqa: N815 -- the name http.server looks for

            def log_message(self, *_args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_args: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/api/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self, method: str, kind: str, times: int = 1) -> None:
        """Plan a fault of the next calls: `drop` (stored, then the connection is cut), `429`,
        `500`, `html`, `slow` (answers after our patience), `refuse` (cut before it is stored).
        """
        with self._lock:
            self._planned += [(method, kind)] * times

    def calls(self, method: str) -> list[Call]:
        return [call for call in self.journal if call.method == method]

    def forget(self) -> None:
        with self._lock:
            self.journal.clear()
            self.profiles.clear()
            self.headers.clear()
            self.answers.clear()
            self._planned.clear()
            self.down = False

    def _planned_for(self, method: str) -> str:
        with self._lock:
            for place, (name, kind) in enumerate(self._planned):
                if name == method:
                    del self._planned[place]
                    return kind
        return "refuse" if self.down else ""

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        method = parts.path.removeprefix("/api/")
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kind = self._planned_for(method)
        if kind == "refuse":
            handler.close_connection = True
            handler.connection.close()
            return
        if kind in {"429", "500", "html"}:
            self._fail(handler, kind)
            return
        known = self.answers.get(method)
        status, answer = (200, known) if known else self._forward(handler, raw)
        call = Call(method, _read(handler, parts.query, raw), answer)
        self.journal.append(call)
        if kind == "drop":
            handler.close_connection = True
            handler.connection.close()
            return
        if kind == "slow":
            time.sleep(7)  # Longer than our patience: what is tested is the timeout itself.
        profile = (
            self.profiles.get(answer.get("user", {}).get("id", ""))
            if isinstance(answer.get("user"), dict)
            else None
        )
        if profile:
            answer["user"] |= profile
        self._send(handler, status, answer)

    def _forward(self, handler: BaseHTTPRequestHandler, raw: bytes) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=20)
        kept = ("Authorization", "Content-Type")
        connection.request(
            handler.command,
            handler.path,
            body=raw or None,
            headers={name: handler.headers[name] for name in kept if name in handler.headers},
        )
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
        return response.status, body

    def _fail(self, handler: BaseHTTPRequestHandler, kind: str) -> None:
        if kind == "429":
            extra = {"Retry-After": "7"}
            self._send(handler, 429, {"ok": False, "error": "ratelimited"}, extra)
        elif kind == "500":
            self._send(handler, 500, {"ok": False, "error": "internal_error"})
        else:
            self._raw(handler, 503, b"<html>Slack is unavailable</html>", {}, "text/html")

    def _send(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        answer: dict[str, Any],
        extra: dict[str, str] | None = None,
    ) -> None:
        more = {**self.headers, **(extra or {})}
        self._raw(handler, status, json.dumps(answer).encode(), more, "application/json")

    def _raw(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        extra: dict[str, str],
        kind: str,
    ) -> None:
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in extra.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True


def _read(handler: BaseHTTPRequestHandler, query: str, raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {name: values[0] for name, values in parse_qs(query).items()}
    if "json" in handler.headers.get("Content-Type", ""):
        return found | json.loads(raw or b"{}")
    return found | {name: values[0] for name, values in parse_qs(raw.decode()).items()}

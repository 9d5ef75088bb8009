"""A fake of ours that answers like an on-call system, also in ways that none should.

What PagerDuty itself would say of our requests, prism says (`pagerduty_prism`); this one has a
memory and can fail.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POLICY, SCHEDULE, SERVICE = "PPOLICY1", "PSCHED1", "PSERV01"


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeOnCall:
    """Who has the pager and who took the incident, as PagerDuty writes it. `fails` replaces
    every answer: a status, a status with a body, `silent`, `drip`, or after the
    first bytes `stall` or `cut`.
    """

    url: str = ""
    shifts: list[dict[str, Any]] = field(default_factory=list)
    incidents: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    pages: list[dict[str, Any]] = field(default_factory=list)
    fails: str | int | tuple[int, str] | None = None
    fails_at: str = ""
    content_type: str = "application/json"
    redirects_to: str = ""
    asked: list[Asked] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    def puts_on_call(
        self, email: str, *, level: int = 1, until: str | None = "2100-01-01T00:00:00Z", **more: Any
    ) -> None:
        shift = {
            "user": {"id": f"P{email[:3].upper()}001", "type": "user", "email": email},
            "schedule": {"id": SCHEDULE, "type": "schedule_reference"},
            "escalation_policy": {"id": POLICY, "type": "escalation_policy_reference"},
            "escalation_level": level,
            "start": "2020-01-01T00:00:00Z",
            "end": until,
        }
        self.shifts.append(shift | more)

    def acknowledges(self, *emails: str, **more: Any) -> None:
        incident = {
            "id": f"PINCID{len(self.incidents)}",
            "status": "acknowledged",
            "service": {"id": SERVICE, "type": "service_reference"},
            "acknowledgements": [
                {"acknowledger": {"id": f"P{e[:3].upper()}001", "type": "user", "email": e}}
                for e in emails
            ],
        }
        self.incidents.append(incident | more)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> FakeOnCall:
        return self.server.state

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.state.asked.append(
            Asked(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
        )
        fails = self.state.fails if parts.path.endswith(self.state.fails_at) else None
        if fails == "silent":
            self.state.let_go.wait(30)
            self.close_connection = True
        elif fails == "drip":
            self._drip()
        elif fails in {"stall", "cut"}:
            self._begin(then_wait=fails == "stall")
        elif isinstance(fails, int):
            self._send(fails, "{}")
        elif isinstance(fails, tuple):
            self._send(*fails)
        else:
            self._send(200, json.dumps(self._found(parts.path)))

    def _found(self, path: str) -> dict[str, Any]:
        if self.state.pages:
            return self.state.pages.pop(0)
        if self.state.answer is not None:
            return self.state.answer
        if path.endswith("/oncalls"):
            return {"oncalls": self.state.shifts, "more": False}
        return {"incidents": self.state.incidents, "more": False}

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", f"{self.state.redirects_to or self.state.url}/elsewhere")
        content = text.encode()
        self.send_header("Content-Type", self.state.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _begin(self, *, then_wait: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.state.content_type)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"oncalls": [')
        if then_wait:
            self.state.let_go.wait(30)
        self.close_connection = True

    def _drip(self) -> None:
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not self.state.let_go.wait(0.1):
                self.wfile.write(b" ")
        self.close_connection = True

    do_GET = do_POST = _serve  # noqa: N815 -- http.server looks for these names

    def log_message(self, *_args: object) -> None:
        """Keep the test's output clean."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = FakeOnCall(url=f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, *_args: object) -> None:
        """Say nothing of clients that hang up: some tests are about just that."""


@contextlib.contextmanager
def running() -> Iterator[FakeOnCall]:
    """Run it on loopback."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.state
        finally:
            server.state.let_go.set()
            server.shutdown()
            thread.join()

"""Servers of the tests that notifications go to: an HTTP receiver that can misbehave, and SMTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from jit.ops.embedded import ground


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in, and how to answer the next ones: a status, a status with headers, `drop`
    (take it, then cut the connection) or `slow` (answer one byte at a time, for ever).
    """

    port: int = 0
    answers: list[int | str | tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?from=jit"


@contextlib.contextmanager
def webhook_receiver() -> Iterator[Receiver]:
    """Run a real HTTP server on loopback."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.received.append(Received(self.path, dict(self.headers), body))
            answer = state.answers.pop(0) if state.answers else 204
            if answer == "drop":
                self.close_connection = True
                self.connection.close()
                return
            if answer == "slow":
                self._drip()
                return
            status, headers = answer if isinstance(answer, tuple) else (answer, {})
            self.send_response(int(status))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _drip(self) -> None:
            with contextlib.suppress(OSError):
                for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 1000:
                    self.wfile.write(bytes([byte]))
                    if state.let_go.wait(0.05):
                        return

        def do_GET(self) -> None:
            state.received.append(Received(self.path, dict(self.headers), b"followed a redirect"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """An SMTP server's memory. `refuse` maps an address to the answer that it gets; `answer`
    is given to every message in place of taking it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    answer: str = ""

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd names it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 -- aiosmtpd names it
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.answer:
            return self.answer
        self.mails.append(envelope)
        return "250 kept"


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run a real SMTP server on loopback."""
    box = Mailbox(port=ground.free_port())
    controller = Controller(box, hostname=box.host, port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()

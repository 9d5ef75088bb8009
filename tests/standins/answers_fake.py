"""A fake server that says to each method and path what a table tells it, true or not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Said:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeAnswers:
    """`table` has an answer for a method, or for a method and a part of the target. Of several
    that fit, the longest part wins; of a list of answers, each serves once and the last for ever.
    """

    url: str = ""
    table: dict[str, Said | list[Said]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def to(self, method: str, target: str) -> Said:
        self.asked.append(f"{method} {target}")
        fitting = [
            key
            for key in self.table
            if key.partition(" ")[0] == method and key.partition(" ")[2] in target
        ]
        if not fitting:
            return Said(status=404)
        found = self.table[max(fitting, key=len)]
        if isinstance(found, Said):
            return found
        return found.pop(0) if len(found) > 1 else found[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = self.server.state.to(self.command, self.path)
        self.send_response(said.status)
        for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(said.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 -- http.server's names

    def log_message(self, *_args: object) -> None:
        """Keep the test's output clean."""


@contextlib.contextmanager
def running() -> Iterator[FakeAnswers]:
    """Run it on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.state = FakeAnswers(url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()

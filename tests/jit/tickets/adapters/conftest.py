"""A server of ours for what a Jira that others wrote can't do wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Answers:
    """What the faulty server answers next, and what it was asked."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def faulty() -> Iterator[Answers]:
    """Serve one prepared answer to everything: a Jira that is broken in a way of our choice."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            answers.asked.append(f"{self.command} {self.path.split('?')[0]}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(answers.status)
            for name, value in {"Content-Type": "application/json", **answers.headers}.items():
                self.send_header(name, value)
            content = answers.body.encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 -- http.server looks for these names

        def log_message(self, *_args: object) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answers.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a machine that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"

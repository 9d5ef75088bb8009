"""An embedded Valkey: real, on loopback, with a password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jit.ops.embedded.valkey import Valkey


@pytest.fixture
def valkey(tmp_path) -> Iterator[Valkey]:
    server = Valkey(folder=tmp_path, password="only-here", log=tmp_path / "log")
    server.start()
    yield server
    server.stop()


class TestStart:
    def test_takes_the_password_alone(self, valkey):
        with redis.Redis.from_url(valkey.url()) as ours:
            assert ours.ping()
        with socket.create_connection((valkey.host, valkey.port), timeout=5) as stranger:
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")

    def test_shows_the_password_in_no_argument(self, valkey):
        assert b"only-here" not in Path(f"/proc/{valkey.pid}/cmdline").read_bytes()

    def test_starts_again_on_the_same_port(self, valkey):
        port = valkey.port
        valkey.stop()
        assert not valkey.running()
        valkey.start()
        assert valkey.port == port

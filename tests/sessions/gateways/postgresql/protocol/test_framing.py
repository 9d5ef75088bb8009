"""Messages, put together and taken apart."""

from __future__ import annotations

from sessions.gateways.postgresql.protocol import framing
from sessions.gateways.postgresql.protocol.framing import message


class TestFraming:
    def test_messages_come_apart_as_they_were_put_together(self) -> None:
        stream = message(b"Q", b"SELECT 1\0") + message(b"S") + message(b"X")
        assert list(framing.messages(stream)) == [(b"Q", b"SELECT 1\0"), (b"S", b""), (b"X", b"")]

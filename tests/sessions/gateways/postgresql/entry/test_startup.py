"""What is read of a startup message."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql.entry import startup
from sessions.gateways.postgresql.interfaces import AccessRefused
from sessions.gateways.postgresql.protocol.framing import Malformed


class TestStartupParameters:
    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_or_read(self, body: bytes) -> None:
        with contextlib.suppress(Malformed, AccessRefused):
            startup.read(body)

"""What is read of a statement's parameters."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql.protocol import values
from sessions.gateways.postgresql.protocol.framing import Malformed


class TestValues:
    def bound(self, *parameters: bytes | None, formats: tuple[int, ...] = (1,)) -> values.Bound:
        body = b"portal\0statement\0" + struct.pack(f"!H{len(formats)}H", len(formats), *formats)
        body += struct.pack("!H", len(parameters))
        for value in parameters:
            body += struct.pack("!i", -1 if value is None else len(value)) + (value or b"")
        return values.read_bind(body + struct.pack("!H", 0))

    def test_unknown_types_are_shown_as_they_came(self) -> None:
        assert values.as_text(self.bound(b"\x01\x02"), [])[0] == ["\\x0102"]

    def test_a_value_that_is_not_of_its_type_is_shown_as_it_came(self) -> None:
        assert values.as_text(self.bound(b"\x01\x02"), [23])[0] == ["\\x0102"]

    def test_much_is_cut_and_said_to_be(self) -> None:
        told, cut = values.as_text(self.bound(*[b"x" * 900] * 100, formats=(0,)), [])
        assert cut
        assert sum(len(value or "") for value in told) < 40_000

    @pytest.mark.parametrize(
        "body", [b"", b"a\0", b"a\0b\0\x00\x09", b"a\0b\0\0\0\0\x01\0\0\0\x09x"]
    )
    def test_what_is_cut_off_is_refused(self, body: bytes) -> None:
        with pytest.raises(Malformed):
            values.read_bind(body)

    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_or_read(self, body: bytes) -> None:
        with contextlib.suppress(Malformed):
            values.as_text(values.read_bind(body), [16, 20, 23, 701, 2950])

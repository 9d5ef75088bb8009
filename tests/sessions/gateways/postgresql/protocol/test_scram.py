"""Both ends of SCRAM, and whoever stands between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.gateways.postgresql.protocol import scram


class TestScram:
    @pytest.mark.parametrize("binding", [None, b"hash of a certificate"])
    def test_both_ends_agree(self, binding: bytes | None) -> None:
        verifier = scram.make("a password")
        assert scram.read(str(verifier)) == verifier
        another = scram.make("another", salt=verifier.salt)
        server = scram.ScramServer(verifier.salt, binding=binding)
        client = scram.ScramClient("a password", binding=binding)
        asked = server.first(scram.PLUS if binding else scram.PLAIN, client.first())
        proven, last = server.final(client.final(asked), [another, verifier])
        client.check(last)
        assert proven == verifier

    def test_a_channel_that_somebody_stands_in_is_found_out(self) -> None:
        verifier = scram.make("a password")
        server = scram.ScramServer(verifier.salt, binding=b"ours")
        client = scram.ScramClient("a password", binding=b"theirs")
        told = client.final(server.first(scram.PLUS, client.first()))
        with pytest.raises(scram.ScramMismatch):
            server.final(told, [verifier])

    def test_a_binding_that_was_taken_off_is_found_out(self) -> None:
        """The client says that it could bind and was not offered to; it was."""
        server = scram.ScramServer(b"salt", binding=b"ours")
        with pytest.raises(scram.ScramMismatch):
            server.first(scram.PLAIN, b"y,,n=,r=abc")

    def test_a_server_that_does_not_know_the_password_is_found_out(self) -> None:
        client = scram.ScramClient("a password")
        server = scram.ScramServer(b"salt")
        client.final(server.first(scram.PLAIN, client.first()))
        with pytest.raises(scram.ScramMismatch):
            client.check(b"v=AAAA")

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_nonsense_is_refused(self, first: bytes, last: bytes) -> None:
        server = scram.ScramServer(b"salt")
        with pytest.raises(scram.ScramMismatch):
            server.first(scram.PLAIN, first)
        with pytest.raises(scram.ScramMismatch):
            server.final(last, [scram.make("x")])

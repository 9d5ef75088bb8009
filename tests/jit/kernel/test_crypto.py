from __future__ import annotations

import pytest
from django.conf import LazySettings
from hypothesis import given
from hypothesis import strategies as st

from jit.kernel import crypto

ROW = "elevation.grant:1:credential"


class TestSeal:
    @given(st.binary(max_size=2000))
    def test_opens_for_its_row(self, plain: bytes) -> None:
        assert crypto.unseal(crypto.seal(plain, bound_to=ROW), bound_to=ROW) == plain

    def test_never_gives_the_same_twice(self) -> None:
        assert crypto.seal(b"x", bound_to=ROW) != crypto.seal(b"x", bound_to=ROW)


class TestUnseal:
    def test_refuses_a_value_moved_to_another_row(self) -> None:
        sealed = crypto.seal(b"secret", bound_to=ROW)
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(sealed, bound_to="elevation.grant:2:credential")

    @given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
    def test_refuses_any_flipped_byte(self, place: int, flip: int) -> None:
        sealed = bytearray(crypto.seal(b"secret", bound_to=ROW))
        sealed[place % len(sealed)] ^= flip
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(bytes(sealed), bound_to=ROW)

    @given(st.binary(max_size=200))
    def test_refuses_nonsense(self, nonsense: bytes) -> None:
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(nonsense, bound_to=ROW)

    def test_refuses_another_installations_key(self, settings: LazySettings) -> None:
        sealed = crypto.seal(b"secret", bound_to=ROW)
        settings.SEALING_KEY = bytes(32)
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(sealed, bound_to=ROW)


class TestNewToken:
    def test_is_long_and_never_the_same(self) -> None:
        tokens = {crypto.new_token("jit_pat") for _ in range(100)}
        assert len(tokens) == 100
        assert all(token.startswith("jit_pat_") and len(token) > 50 for token in tokens)

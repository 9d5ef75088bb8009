"""Keys are made once, differ, and are read by their owner alone."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from jit.ops.embedded.keys import Keys


class TestKeys:
    def test_are_the_same_at_the_next_start(self, tmp_path):
        names = ("postgres", "valkey")
        first = [Keys(tmp_path / "keys").password(name) for name in names]
        assert [Keys(tmp_path / "keys").password(name) for name in names] == first
        assert len(set(first)) == 2

    def test_are_read_by_their_owner_alone(self, tmp_path):
        keys = Keys(tmp_path / "keys")
        keys.password("valkey")
        files = [keys.django_secret(), keys.sealing_key(), keys.audit_key()]
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "keys").iterdir()} == {0o600}
        assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
        assert len({file.read_text() for file in files}) == 3

    def test_seals_with_32_bytes(self, tmp_path):
        text = Keys(tmp_path / "keys").sealing_key().read_text()
        assert len(base64.b64decode(text, validate=True)) == 32

    def test_signs_audit_checkpoints_with_a_key_that_cryptography_reads(self, tmp_path):
        key = load_pem_private_key(Keys(tmp_path / "keys").audit_key().read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        key.public_key().verify(key.sign(b"tree"), b"tree")

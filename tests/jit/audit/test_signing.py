"""The log's key is an Ed25519 key of its own, or nothing is signed."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured

from jit.audit import signing


class TestSigner:
    def test_refuses_a_key_of_another_kind(self, settings, tmp_path):
        path = tmp_path / "key.pem"
        path.write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        settings.AUDIT_KEY_FILE = str(path)
        with pytest.raises(ImproperlyConfigured, match="Ed25519"):
            signing.signer()

    @pytest.mark.parametrize("content", [None, "no key"])
    def test_refuses_a_file_that_holds_none(self, settings, tmp_path, content):
        path = tmp_path / "key.pem"
        if content:
            path.write_text(content)
        settings.AUDIT_KEY_FILE = str(path)
        with pytest.raises(ImproperlyConfigured, match="JIT_AUDIT_KEY_FILE"):
            signing.signer()

    def test_refuses_a_name_that_a_note_cannot_carry(self, settings):
        settings.AUDIT_ORIGIN = "my log"
        with pytest.raises(ImproperlyConfigured, match="JIT_AUDIT_ORIGIN"):
            signing.signer()

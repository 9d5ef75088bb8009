"""The log's own Ed25519 key, and the signed notes it makes (c2sp.org/signed-note)."""

from __future__ import annotations

import base64
import datetime as dt
import functools
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from jit.audit.verifier import Checkpoint, Key
from jit.kernel import clock


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs checkpoints in the log's name."""

    key: Key
    private: Ed25519PrivateKey

    def checkpoint(self, *, size: int, root: bytes, at: dt.datetime) -> str:
        """Return the signed note of the tree's size and root, with the time as a further line."""
        said = Checkpoint(self.key.name, size, root, (f"at {clock.rfc3339(at)}",))
        signature = self.key.id + self.private.sign(said.text.encode())
        return f"{said.text}\n— {self.key.name} {base64.b64encode(signature).decode()}\n"


def signer() -> Signer:
    """Return the signer that the settings name; the key file is read once for each path.

    Raises ImproperlyConfigured when there is no key or it is not Ed25519 in PEM.
    """
    return _signer(settings.AUDIT_KEY_FILE, settings.AUDIT_ORIGIN)


@functools.cache
def _signer(path: str, origin: str) -> Signer:
    if not path:
        raise ImproperlyConfigured("JIT_AUDIT_KEY_FILE must name the key that signs the audit log")
    if not origin or "+" in origin or any(sign.isspace() for sign in origin):
        raise ImproperlyConfigured("JIT_AUDIT_ORIGIN must be a name without blanks and plus signs")
    try:
        private = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as unreadable:
        raise ImproperlyConfigured(f"JIT_AUDIT_KEY_FILE: {unreadable}") from unreadable
    if not isinstance(private, Ed25519PrivateKey):
        raise ImproperlyConfigured("JIT_AUDIT_KEY_FILE must hold an Ed25519 private key")
    public = private.public_key().public_bytes_raw()
    return Signer(Key(origin, public), private)

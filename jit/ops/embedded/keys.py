"""The keys of an embedded installation: made once, kept in files that only their owner reads."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

# RFC 8410: what stands before the 32 bytes of an Ed25519 private key in PKCS #8. The standard
# library has no PEM writer, and this is all of it that the key needs.
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")


class Keys:
    """The folder of keys; each is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def password(self, name: str) -> str:
        """Return the generated password `name`, safe in a URL and in SQL."""
        return self._file(name, secrets.token_hex(24)).read_text(encoding="ascii")

    def django_secret(self) -> Path:
        return self._file("django-secret", secrets.token_urlsafe(48))

    def sealing_key(self) -> Path:
        return self._file("sealing", base64.b64encode(secrets.token_bytes(32)).decode())

    def audit_key(self) -> Path:
        return self._ed25519("audit.pem")

    def ssh_gateway_key(self) -> Path:
        return self._ed25519("ssh-gateway.pem")

    def _ed25519(self, name: str) -> Path:
        der = base64.b64encode(_PKCS8_ED25519 + secrets.token_bytes(32)).decode()
        return self._file(name, f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")

    def _file(self, name: str, fresh: str) -> Path:
        path = self._folder / name
        if not path.exists():
            draft = path.with_name(f".{name}.{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(fresh, encoding="ascii")
            draft.rename(path)  # Whole or not at all.
        return path

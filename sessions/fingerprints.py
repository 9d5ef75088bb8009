"""How a public key is told apart: OpenSSH's SHA-256 fingerprint."""

from __future__ import annotations

import base64
import hashlib


def fingerprint_of(line: str) -> str:
    """Return `SHA256:…` of a public key in OpenSSH's one-line form, as `ssh-keygen -l` does."""
    blob = base64.b64decode(line.split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")

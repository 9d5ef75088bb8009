"""The gateway's own host keys: what people's clients remember it by."""

from __future__ import annotations

from pathlib import Path

import asyncssh
from django.conf import settings


def files() -> list[Path]:
    """Return the files of the private keys, which only the gateway can read."""
    return [Path(name) for name in settings.SSH_GATEWAY_KEYS]


def public_lines() -> list[str]:
    """Return the public keys in OpenSSH's one-line form: those that JIT_SSH_GATEWAY_PUBLIC_KEYS
    names, or where the private ones can be read, theirs. Raises OSError.
    """
    named: list[str] = settings.SSH_GATEWAY_PUBLIC_KEYS
    return named or [
        asyncssh.read_private_key(file).export_public_key().decode().strip() for file in files()
    ]

"""The gateway's own host keys: what people's clients remember it by."""

from __future__ import annotations

from pathlib import Path

import asyncssh
from django.conf import settings

SSH = 22
"""The port that needs no naming in known_hosts."""


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


def known_hosts(host: str, port: int) -> list[str]:
    """Return the lines of known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) by which `ssh`
    knows the gateway at this address. Raises OSError and asyncssh.KeyImportError.
    """
    name = host if port == SSH else f"[{host}]:{port}"
    return [f"{name} {' '.join(line.split()[:2])}" for line in public_lines()]

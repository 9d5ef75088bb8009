"""SSH keys as text: reading what an operator wrote, and making new ones."""

from __future__ import annotations

import base64
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import SSHCertificate
from pydantic import AfterValidator

type PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

_SMALLEST_RSA = 2048


class NotAKey(ValueError):
    """The text is no key that can be worked with; the message never repeats it."""


def new_private_key() -> str:
    """Return a new Ed25519 private key in OpenSSH's format, which `ssh -i` reads."""
    return private_text(Ed25519PrivateKey.generate())


def private_text(key: Ed25519PrivateKey) -> str:
    """Return the key in OpenSSH's format, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()


def read_private(text: str) -> Ed25519PrivateKey:
    """Return the Ed25519 private key of an OpenSSH or PKCS#8 file's content, without a passphrase.

    Raises NotAKey.
    """
    encoded = text.strip().encode() + b"\n"
    load = (
        serialization.load_ssh_private_key
        if b"BEGIN OPENSSH" in encoded[:40]
        else serialization.load_pem_private_key
    )
    try:
        key = load(encoded, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAKey(
            "this is no private key in OpenSSH's or PKCS#8 format without a passphrase"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NotAKey("the key must be an Ed25519 key (ssh-keygen -t ed25519)")
    return key


def read_public(line: str) -> PublicKey:
    """Return the public key of a line such as `ssh-ed25519 AAAA… comment`.

    Raises NotAKey, also for a certificate and for keys that are too weak.
    """
    try:
        key = serialization.load_ssh_public_identity(line.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise NotAKey("this is no SSH public key (ssh-ed25519 AAAA…)") from None
    if isinstance(key, SSHCertificate):
        raise NotAKey("this is a certificate; give the public key itself")
    if isinstance(key, RSAPublicKey) and key.key_size < _SMALLEST_RSA:
        raise NotAKey(f"an RSA key needs {_SMALLEST_RSA} bits at least")
    if not isinstance(key, (Ed25519PublicKey, EllipticCurvePublicKey, RSAPublicKey)):
        raise NotAKey("only Ed25519, ECDSA and RSA keys are taken")
    return key


def public_line(key: PublicKey | Ed25519PrivateKey, comment: str = "") -> str:
    """Return the key's public line, as it stands in `id_ed25519.pub`."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    encoded = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()
    return f"{encoded} {comment}".strip()


def fingerprint(key: PublicKey | Ed25519PrivateKey) -> str:
    """Return `SHA256:…` as `ssh-keygen -l` prints it."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    digest = serialization.ssh_key_fingerprint(public, hashes.SHA256())
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _checked_line(line: str) -> str:
    return public_line(read_public(line))


PublicLine = Annotated[str, AfterValidator(_checked_line)]
"""A public key's line in a configuration; its comment is dropped."""

"""Secrets at rest: an envelope bound to its row, so that a swapped row does not open.

A fresh 256-bit data key encrypts each value with AES-256-GCM; the data key is wrapped, also
by AES-256-GCM, under the installation's key. Both carry the row's address as additional
data (NIST SP 800-38D), so a ciphertext moved to another row fails to open.
"""

from __future__ import annotations

import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_VERSION = b"\x01"
_NONCE = 12
_WRAPPED = 32 + 16


class SealBroken(Exception):
    """The value was altered, moved to another row, or sealed under another key."""


def _key() -> bytes:
    key: bytes = settings.SEALING_KEY
    return key


def seal(plain: bytes, *, bound_to: str) -> bytes:
    """Return `plain` encrypted for the row that `bound_to` names
    (`"identity.totp:<id>:secret"`).
    """
    address = bound_to.encode()
    data_key = AESGCM.generate_key(256)
    wrap_nonce, nonce = os.urandom(_NONCE), os.urandom(_NONCE)
    wrapped = AESGCM(_key()).encrypt(wrap_nonce, data_key, address)
    return _VERSION + wrap_nonce + wrapped + nonce + AESGCM(data_key).encrypt(nonce, plain, address)


def unseal(sealed: bytes, *, bound_to: str) -> bytes:
    """Return what was sealed for `bound_to`, or raise SealBroken."""
    address = bound_to.encode()
    sealed = bytes(sealed)
    head, rest = sealed[: 1 + _NONCE + _WRAPPED], sealed[1 + _NONCE + _WRAPPED :]
    if head[:1] != _VERSION or len(rest) < _NONCE + 16:
        raise SealBroken("not a sealed value of this version")
    try:
        data_key = AESGCM(_key()).decrypt(head[1 : 1 + _NONCE], head[1 + _NONCE :], address)
        return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], address)
    except InvalidTag as broken:
        raise SealBroken("the sealed value does not open for this row and key") from broken


def new_token(prefix: str) -> str:
    """Return an unguessable bearer token with 256 bits behind `prefix`."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"

"""A recording's data key, wrapped under the installation's and bound to its session."""

from __future__ import annotations

import secrets
import uuid

from jit.kernel import crypto


def new() -> bytes:
    """Return a fresh 256-bit data key."""
    return secrets.token_bytes(32)


def _address(session_id: uuid.UUID) -> str:
    return f"sessions.recording:{session_id}:key"


def wrap(key: bytes, *, session_id: uuid.UUID) -> bytes:
    """Return `key` sealed for this session's recording and no other."""
    return crypto.seal(key, bound_to=_address(session_id))


def unwrap(wrapped: bytes, *, session_id: uuid.UUID) -> bytes:
    """Return the key again, or raise `crypto.SealBroken`."""
    return crypto.unseal(wrapped, bound_to=_address(session_id))

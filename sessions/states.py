"""The moves of access sessions, as data (see docs/states.md)."""

from __future__ import annotations

from enum import StrEnum

from jit.kernel.states import Machine


class SessionState(StrEnum):
    OPENING = "OPENING"
    LIVE = "LIVE"
    CLOSED = "CLOSED"
    SEALED = "SEALED"


class ClosedBecause(StrEnum):
    """Why a session is over: its person left, its grant ended, somebody or the recorder ended
    it, or its line broke.
    """

    LOGOUT = "logout"
    EXPIRED = "expired"
    REVOKED = "revoked"
    TERMINATED = "terminated"
    LOST = "lost"


class Door(StrEnum):
    """Where a session came in."""

    SSH = "ssh"
    WEB = "web"
    POSTGRESQL = "postgresql"


class Proof(StrEnum):
    """By what its person was recognised."""

    KEY = "key"
    CERTIFICATE = "certificate"
    TOKEN = "token"  # noqa: S105 -- a name, no password


OPEN = (SessionState.OPENING, SessionState.LIVE)
"""In one of these a session may still do something on its target."""

SESSION = Machine(
    name="session",
    initial=frozenset({SessionState.OPENING}),
    moves={
        (SessionState.OPENING, "opened"): SessionState.LIVE,
        (SessionState.OPENING, "closed"): SessionState.CLOSED,
        (SessionState.LIVE, "closed"): SessionState.CLOSED,
        (SessionState.CLOSED, "sealed"): SessionState.SEALED,
    },
)

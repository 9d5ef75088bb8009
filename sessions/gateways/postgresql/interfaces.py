"""What the proxy needs of the process it runs in: who is admitted, what records, who ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from sessions.gateways.interfaces import RecordingSink
from sessions.gateways.postgresql.protocol.scram import Verifier


class AccessRefused(Exception):
    """Who asked is not admitted; the message is the sentence for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConnection:
    """The way to the target and the ephemeral role to use there."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    databases: tuple[str, ...] = ()
    """All that may be asked for; `database` is the one if none is."""
    options: str = ""
    """What the role needs in `options`, as on targets that can't set it at log-in."""
    role: str = ""
    """The target's own role that a session acts as from its beginning."""
    connection_limit: int = 0
    sslmode: str = "prefer"
    sslrootcert: str = ""
    require_auth: str = "scram-sha-256"
    connect_timeout: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmittedSession:
    """An access session that was opened for somebody who proved who they are."""

    session_id: UUID
    grant_id: UUID
    person: str
    target: str
    role: str
    over_at: float
    """By `time.monotonic`."""
    record: str
    """"required", "best_effort" or "none"."""
    target_connection: TargetConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationAttempt:
    """What is known of somebody who asks for a session, before the broker is asked."""

    name: str
    proof: str
    """"token" or "certificate"."""
    verifier: Verifier | None
    source_address: str
    client: str
    database: str


class RunningSession(Protocol):
    """A session that the broker may have warned and ended."""

    async def warn(self, sentence: str) -> None: ...
    async def end(self, because: str, sentence: str) -> None: ...
    def abort(self) -> None: ...


class SessionBroker(Protocol):
    """Gives sessions to those who prove who they are, and closes them."""

    def salt(self, name: str) -> bytes:
        """Return the salt of all passwords under this user name, known or not."""

    async def verifiers(self, name: str) -> Sequence[Verifier]:
        """Return the verifiers of the newest passwords under this user name, dead ones too:
        whoever proves one of these is told what became of it.
        """

    async def admit(self, attempt: AuthenticationAttempt) -> AdmittedSession:
        """Open an access session, using the password up. Raises AccessRefused."""

    def record(
        self, admitted: AdmittedSession, on_failure: Callable[[str], None]
    ) -> RecordingSink | None:
        """Return the recording, or None where there is to be none. Raises AccessRefused."""

    def enter(self, admitted: AdmittedSession, live: RunningSession) -> Awaitable[None]:
        """Say that the session is live: from now on it is warned and ended in time."""

    async def leave(
        self, admitted: AdmittedSession, recording: RecordingSink | None, because: str, comment: str
    ) -> None:
        """Close the session and its recording."""

    async def terminate(self, admitted: AdmittedSession, pid: int) -> None:
        """End this backend on the target, with our service account there."""

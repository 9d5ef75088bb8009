"""What the proxy needs from the house it stands in: who may enter, what records, who ends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sessions.gateways.postgresql.scram import Verifier


class NotLetIn(Exception):
    """Whoever knocked may not enter; the message is the sentence for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
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
class Admitted:
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
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What is known of whoever wants in, before the house is asked."""

    name: str
    proof: str
    """"token" or "certificate"."""
    verifier: Verifier | None
    source_address: str
    client: str
    database: str


class Tape(Protocol):
    """One session's recording."""

    def output(self, data: bytes) -> None: ...
    def mark(self, fact: Mapping[str, Any]) -> None: ...
    async def room(self) -> None: ...
    @property
    def failed(self) -> str: ...


class Live(Protocol):
    """A session that the house may warn and end."""

    async def warn(self, sentence: str) -> None: ...
    async def end(self, because: str, sentence: str) -> None: ...
    def abort(self) -> None: ...


class House(Protocol):
    """The process's house-keeping as this gateway uses it."""

    def salt(self, name: str) -> bytes:
        """Return the salt of all passwords under this user name, known or not."""

    async def verifiers(self, name: str) -> Sequence[Verifier]:
        """Return the verifiers of the newest passwords under this user name, dead ones too:
        whoever proves one of these is told what became of it.
        """

    async def admit(self, knock: Knock) -> Admitted:
        """Open an access session, using the password up. Raises NotLetIn."""

    def record(self, admitted: Admitted, on_failure: Callable[[str], None]) -> Tape | None:
        """Return the recording, or None where there is to be none. Raises NotLetIn."""

    def enter(self, admitted: Admitted, live: Live) -> Awaitable[None]:
        """Say that the session is live: from now on it is warned and ended in time."""

    async def leave(
        self, admitted: Admitted, tape: Tape | None, because: str, comment: str
    ) -> None:
        """Close the session and its recording."""

    async def terminate(self, admitted: Admitted, pid: int) -> None:
        """End this backend on the target, with our service account there."""

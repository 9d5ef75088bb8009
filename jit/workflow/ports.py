"""Where the core reaches a wing: Protocols, filled by dotted paths in settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast
from uuid import UUID

from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest, Grant
from jit.identity.models import User
from jit.kernel import backends
from jit.kernel.actor import Actor
from jit.policy.ruling import StepSpec


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision as people see it; `duration_seconds` where the approver made it shorter,
    `on_behalf_of` the user name of the delegator whose voice it is, or empty.
    """

    approver: str
    verdict: str
    channel: str
    comment: str
    duration_seconds: int | None
    decided_at: dt.datetime
    on_behalf_of: str = ""


@dataclass(frozen=True, slots=True)
class StepView:
    """One rung as people see it. `candidates` are the user names that may answer now, the
    requester not among them; `stand_ins` are those of them who answer by a delegation, each
    with the delegator's name. `escalated_to` are the expressions that escalation added.
    """

    id: UUID
    position: int
    state: str
    any_of: tuple[str, ...]
    quorum: int
    candidates: tuple[str, ...]
    decisions: tuple[DecisionView, ...]
    opened_at: dt.datetime | None
    lapses_at: dt.datetime | None
    stand_ins: tuple[tuple[str, str], ...] = ()
    escalate_at: dt.datetime | None = None
    escalated_at: dt.datetime | None = None
    escalated_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whom each step of a chain asks: as resolved expressions, and the active people behind
    them now, the requester not among them; and whom it asks when that does not help.
    """

    approvers: list[list[str]]
    people: list[list[User]]
    escalate_to: list[list[str]] = field(default_factory=list)
    fallback: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChainView:
    state: str
    steps: tuple[StepView, ...]


class ApprovalsPort(Protocol):
    def resolve(
        self,
        *,
        chain: Sequence[StepSpec],
        requester: User,
        role: Role,
        ticket_assignee: str | None,
        same_person_may_repeat: bool,
    ) -> Resolution:
        """Return each step's approvers as `user:…` and `group:…`, and who that is.

        Raises NobodyCanApprove (422) naming the first step that nobody but the requester
        could answer.
        """

    def expand(
        self, *, any_of: Sequence[str], requester: User, role: Role, ticket_assignee: str | None
    ) -> list[str]:
        """Return approver expressions with the relative ones made absolute; those that name
        nobody fall away.
        """

    def open(
        self,
        *,
        request: ElevationRequest,
        chain: Sequence[StepSpec],
        resolved: Resolution,
        same_person_may_repeat: bool,
        actor: Actor,
        now: dt.datetime,
    ) -> list[User]:
        """Write the chain, open its first step and tell whom it asks, in the caller's
        transaction; return whom it asks.
        """

    def cancel(self, *, request: ElevationRequest, actor: Actor, now: dt.datetime) -> None:
        """Close the request's chain, if it has an open one, in the caller's transaction."""

    def describe(self, *, requests: Iterable[ElevationRequest]) -> dict[UUID, ChainView]:
        """Return the chains of these requests by request id, in two statements however many
        there are; a request that asked nobody has none.
        """

    def candidates(self, *, expressions: Sequence[str]) -> list[User]:
        """Return the active people behind resolved expressions, and their stand-ins."""

    def decided_by(self, *, username: str) -> Iterable[UUID]:
        """Return the ids of requests on which this person gave a decision."""

    def lent_to(self, user: User) -> list[str]:
        """Return the resolved expressions that `user` may answer now for somebody else."""

    def waiting(self, user: User, *, most: int) -> int:
        """Return how many requests wait for this person's decision, counted up to `most`."""

    def watch(self) -> int:
        """Remind, escalate, ring where nobody is left to answer, and tell of delegations that
        are over; return how many open steps were looked at. Never approves. Several workers
        may call it at once.
        """


class SessionsPort(Protocol):
    def cut(self, *, grants: Sequence[Grant], now: dt.datetime) -> set[UUID]:
        """End every live access session of these grants and wait a moment for their gateways
        to have done it; return the ids of grants of which a session may still be open.
        """

    def cut_of(self, *, grants: Sequence[Grant]) -> dict[UUID, dict[str, int]]:
        """Return for each grant that was used through gateways what ended with it there:
        `sessions_cut`, `forwards_cut` and `connections_cut` (to the target, in those sessions),
        and `sessions_left`.
        """

    def offer(self, *, grant: Grant, now: dt.datetime) -> dict[str, str] | None:
        """Return how the holder of an ACTIVE grant comes in through a gateway, with a fresh
        one-use password, in the caller's transaction; None where no gateway serves targets
        of its kind.
        """

    def recordings(self, *, grant_id: UUID) -> list[str]:
        """Return the addresses of the recordings of this grant's access sessions, for whoever
        may read them: they are written under the ticket when the grant has ended.
        """

    def gateways_away(self) -> set[str]:
        """Return the kinds of target whose people are sent to a gateway of which none runs."""


def approvals() -> ApprovalsPort:
    return cast("ApprovalsPort", backends.from_setting("APPROVALS_BACKEND"))


def sessions() -> SessionsPort:
    return cast("SessionsPort", backends.from_setting("SESSIONS_BACKEND"))

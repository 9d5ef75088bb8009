"""Where the core reaches a wing: Protocols, filled by dotted paths in settings."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Protocol, cast

from jit.catalog.models import Role
from jit.elevation.models import ElevationRequest, Grant
from jit.identity.models import User
from jit.kernel import backends
from jit.kernel.actor import Actor
from jit.policy.ruling import StepSpec


class ApprovalsPort(Protocol):
    def resolve(
        self,
        *,
        chain: Sequence[StepSpec],
        requester: User,
        role: Role,
        ticket_assignee: str | None,
        same_person_may_repeat: bool,
    ) -> list[list[str]]:
        """Return each step's approvers as `user:…` and `group:…`.

        Raises NobodyCanApprove (422) naming the first step that nobody but the requester
        could answer.
        """

    def open(
        self,
        *,
        request: ElevationRequest,
        chain: Sequence[StepSpec],
        resolved: Sequence[Sequence[str]],
        same_person_may_repeat: bool,
        actor: Actor,
        now: dt.datetime,
    ) -> None:
        """Write the chain and open its first step, in the caller's transaction."""

    def cancel(self, *, request: ElevationRequest, actor: Actor, now: dt.datetime) -> None:
        """Close the request's chain, if it has an open one, in the caller's transaction."""

    def candidates(self, *, expressions: Sequence[str]) -> list[User]:
        """Return the active people behind resolved expressions."""


class SessionsPort(Protocol):
    def cut(self, *, grants: Sequence[Grant], reason: str, now: dt.datetime) -> int:
        """End every live access session of these grants; return how many were cut."""


def approvals() -> ApprovalsPort:
    return cast("ApprovalsPort", backends.from_setting("APPROVALS_BACKEND"))


def sessions() -> SessionsPort:
    return cast("SessionsPort", backends.from_setting("SESSIONS_BACKEND"))

"""Who may decide, and when a step is met: pure judgement, no tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from jit.kernel.errors import Conflict, DomainError, NotAllowed

SHORTEST_SECONDS = 10


class SelfApproval(NotAllowed):
    """A requester never decides on their own request, through whatever account or channel."""


class NotAnApprover(NotAllowed):
    """The person is not (or no longer) among those the open step asks."""


class AlreadyDecided(Conflict):
    """The person, or somebody before them, has decided otherwise."""


class AlreadyCounted(NotAllowed):
    """The person's voice was counted in an earlier step; one person counts once in a chain."""


class RequestLapsed(Conflict):
    """Nobody answered in time."""


class RequestWithdrawn(Conflict):
    """The requester took the request back."""


class DurationNotShorter(DomainError):
    """An approver may make the duration shorter, never longer."""


class ReasonRequired(DomainError):
    """A denial tells the requester why."""


@dataclass(frozen=True, slots=True)
class Voice:
    """One decision already given: who (the person behind the account), what, in which step."""

    person: UUID
    verdict: str
    position: int
    name: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything the judgement needs to know of one attempt to decide."""

    approver_person: UUID
    approver_name: str
    approver_expressions: frozenset[str]
    approver_active: bool
    requester_person: UUID
    requester_name: str
    position: int
    resolved: tuple[str, ...]
    voices: tuple[Voice, ...]
    same_person_may_repeat: bool
    verdict: str
    comment: str
    asked_seconds: int
    shorter_seconds: int | None


def judge(ask: Ask) -> None:
    """Raise the refusal that stands in the way of this decision, or return None.

    The order matters: four eyes first, then eligibility, then what was already said.
    """
    if ask.approver_person == ask.requester_person:
        raise SelfApproval(
            f"{ask.requester_name} asked for this, so {ask.approver_name} can't decide on it: "
            "another approver must."
        )
    if not ask.approver_active:
        raise NotAnApprover("This account is disabled; ask another approver to decide.")
    if not ask.approver_expressions & set(ask.resolved):
        raise NotAnApprover(
            f"Step {ask.position} asks {describe(ask.resolved)}, and {ask.approver_name} is not "
            "(or no longer) one of them."
        )
    for voice in ask.voices:
        if voice.person != ask.approver_person:
            continue
        if voice.position == ask.position:
            raise AlreadyDecided(
                f"You have already said {voice.verdict} in this step; the first word stands."
            )
        if not ask.same_person_may_repeat:
            raise AlreadyCounted(
                f"You approved step {voice.position} of this chain, and one person counts once: "
                f"step {ask.position} needs somebody else of {describe(ask.resolved)}."
            )
    if ask.verdict == "deny" and not ask.comment.strip():
        raise ReasonRequired(
            "Say in a sentence why you deny it; the requester will read it.",
            fields={"comment": ["A denial needs a reason."]},
        )
    if (
        ask.shorter_seconds is not None
        and not SHORTEST_SECONDS <= ask.shorter_seconds <= ask.asked_seconds
    ):
        raise DurationNotShorter(
            f"Approve for at most the {ask.asked_seconds} seconds asked for, and at least 10.",
            fields={"duration_seconds": [f"From 10 to {ask.asked_seconds}."]},
        )


def met(*, approvals: Collection[UUID], quorum: int) -> bool:
    """Return whether enough distinct people have approved; more than enough is enough too."""
    return len(set(approvals)) >= quorum


def describe(expressions: Sequence[str]) -> str:
    """Return approver expressions as people say them: "payments-leads or olga"."""
    names = [expression.partition(":")[2] or expression for expression in expressions]
    return " or ".join(names) if names else "nobody"

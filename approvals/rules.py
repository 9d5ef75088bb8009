"""Who may decide, and when a step is met: pure judgement, no tables."""

from __future__ import annotations

import datetime as dt
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


class SpokenFor(AlreadyCounted):
    """The voice was given already, by its owner or by somebody standing in for them."""


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
    behalf_person: UUID | None = None


@dataclass(frozen=True, slots=True)
class Mandate:
    """A delegation at work: what the delegate may answer instead of its delegator."""

    user_id: UUID
    person: UUID
    name: str
    expressions: frozenset[str]


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
    mandates: tuple[Mandate, ...] = ()


def judge(ask: Ask) -> Mandate | None:
    """Raise the refusal that stands in the way of this decision, or return the mandate by
    which the approver speaks for somebody else (None for their own voice).

    The order matters: four eyes first, then eligibility, then what was already said.
    """
    if ask.approver_person == ask.requester_person:
        raise SelfApproval(
            f"{ask.requester_name} asked for this, so {ask.approver_name} can't decide on it: "
            "another approver must."
        )
    if not ask.approver_active:
        raise NotAnApprover("This account is disabled; ask another approver to decide.")
    mandate = _eligible(ask)
    _refuse_second_voice(ask, mandate)
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
    return mandate


def _eligible(ask: Ask) -> Mandate | None:
    """Return None where the step asks the approver themselves, else the mandate it asks."""
    asked = set(ask.resolved)
    if ask.approver_expressions & asked:
        return None
    fitting = [one for one in ask.mandates if one.expressions & asked]
    if not fitting:
        raise NotAnApprover(
            f"Step {ask.position} asks {describe(ask.resolved)}, and {ask.approver_name} is not "
            "(or no longer) one of them, nor stands in for one now."
        )
    others = [one for one in fitting if one.person != ask.requester_person]
    if not others:
        raise SelfApproval(
            f"{ask.requester_name} asked for this, so nobody can decide on it for "
            f"{ask.requester_name}: another approver must."
        )
    spoken = set() if ask.same_person_may_repeat else speakers(ask.voices)
    spoken |= speakers([voice for voice in ask.voices if voice.position == ask.position])
    return next((one for one in others if one.person not in spoken), others[0])


def _refuse_second_voice(ask: Ask, mandate: Mandate | None) -> None:
    for voice in ask.voices:
        here = voice.position == ask.position
        if not here and ask.same_person_may_repeat:
            continue
        if voice.person == ask.approver_person:
            if here:
                raise AlreadyDecided(
                    f"You have already said {voice.verdict} in this step; the first word stands."
                )
            raise AlreadyCounted(
                f"You approved step {voice.position} of this chain, and one person counts once: "
                f"step {ask.position} needs somebody else of {describe(ask.resolved)}."
            )
        if voice.behalf_person == ask.approver_person:
            raise SpokenFor(
                f"{voice.name} has said {voice.verdict} for you in step {voice.position}, and one "
                f"person counts once: somebody else of {describe(ask.resolved)} must answer."
            )
        if mandate is not None and mandate.person in {voice.person, voice.behalf_person}:
            raise SpokenFor(
                f"The voice of {mandate.name}, for whom you stand in, was counted in step "
                f"{voice.position} already: somebody else of {describe(ask.resolved)} must answer."
            )


def speakers(voices: Sequence[Voice]) -> set[UUID]:
    """Return the persons whose voice was given: those who spoke and those spoken for."""
    return {v.person for v in voices} | {v.behalf_person for v in voices if v.behalf_person}


def met(*, approvals: Collection[UUID], quorum: int) -> bool:
    """Return whether enough distinct people have approved; more than enough is enough too."""
    return len(set(approvals)) >= quorum


@dataclass(frozen=True, slots=True)
class Lending:
    """A delegation as an edge between two persons, for `[starts_at, ends_at)`."""

    giver: UUID
    taker: UUID
    starts_at: dt.datetime
    ends_at: dt.datetime


def circle(new: Lending, others: Sequence[Lending]) -> bool:
    """Return whether `new` closes a circle of delegations that are all at work at one instant."""
    ways = [(new.taker, new.starts_at, new.ends_at, frozenset({new.taker}))]
    while ways:
        person, starts_at, ends_at, seen = ways.pop()
        if person == new.giver:
            return True
        for one in others:
            first, last = max(starts_at, one.starts_at), min(ends_at, one.ends_at)
            if one.giver == person and one.taker not in seen and first < last:
                ways.append((one.taker, first, last, seen | {one.taker}))
    return False


def describe(expressions: Sequence[str]) -> str:
    """Return approver expressions as people say them: "payments-leads or olga"."""
    names = [expression.partition(":")[2] or expression for expression in expressions]
    return " or ".join(names) if names else "nobody"

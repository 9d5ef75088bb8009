"""The moves of chains and steps, as data (see docs/states.md)."""

from __future__ import annotations

from enum import StrEnum

from jit.kernel.states import Machine


class ChainState(StrEnum):
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"


class StepState(StrEnum):
    WAITING = "WAITING"
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    SKIPPED = "SKIPPED"


class Verdict(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


CHAIN = Machine(
    name="chain",
    initial=frozenset({ChainState.OPEN}),
    moves={
        (ChainState.OPEN, "approved"): ChainState.APPROVED,
        (ChainState.OPEN, "denied"): ChainState.DENIED,
        (ChainState.OPEN, "cancelled"): ChainState.CANCELLED,
    },
)
STEP = Machine(
    name="step",
    initial=frozenset({StepState.WAITING}),
    moves={
        (StepState.WAITING, "opened"): StepState.OPEN,
        (StepState.OPEN, "approved"): StepState.APPROVED,
        (StepState.OPEN, "denied"): StepState.DENIED,
        (StepState.WAITING, "skipped"): StepState.SKIPPED,
        (StepState.OPEN, "skipped"): StepState.SKIPPED,
    },
)

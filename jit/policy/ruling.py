"""What policy says of a request, whole: it is stored with the request and can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

ApprovalStrength = Literal["notify", "slack", "slack_with_recent_step_up", "web_phishing_resistant"]
Record = Literal["required", "best_effort", "none"]
OnTicketClosed = Literal["revoke", "warn", "ignore"]
OnTicketUnreachable = Literal["refuse", "extra_step"]

GUARDRAIL = "deny_when"
"""The `part` of a guardrail's clause in the trace."""


class Outcome(StrEnum):
    AUTO = "auto"
    NEEDS_APPROVAL = "needs_approval"
    NOT_ELIGIBLE = "not_eligible"
    DENIED = "denied"
    ERROR = "error"

    @property
    def admits(self) -> bool:
        """Whether a request with this outcome may be made at all."""
        return self in {Outcome.AUTO, Outcome.NEEDS_APPROVAL}


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One rung of the chain. `any_of`, `escalate_to` and `fallback` hold approver
    expressions: `user:…`, `group:…`, `oncall:…`, `manager`, `role-owner`, `ticket-assignee`.
    """

    any_of: tuple[str, ...]
    quorum: int = 1
    lapse_after_seconds: int = 3600
    escalate_to: tuple[str, ...] = ()
    escalate_after_seconds: int | None = None
    fallback: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> StepSpec:
        lists = {name: tuple(stored[name]) for name in ("any_of", "escalate_to", "fallback")}
        return cls(**{**stored, **lists})


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a grant under this ruling owes; the defaults are the strict ones."""

    approval_strength: ApprovalStrength = "web_phishing_resistant"
    mfa_max_age_seconds: int | None = None
    mfa_phishing_resistant: bool = False
    record: Record = "best_effort"
    on_ticket_closed: OnTicketClosed = "revoke"
    review_after: bool = False
    same_person_may_repeat: bool = False
    on_ticket_unreachable: OnTicketUnreachable = "refuse"

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Obligations:
        return cls(**stored)


class Clause(NamedTuple):
    """One clause and how it went. `passed` is None for a clause that could not be asked
    (its evaluation failed, the ticket system is silent, or the answer hangs on what is not
    known). A guardrail passes when it does
    not refuse. `part` is where the clause stands: `who`, `when[0]`, `deny_when`, …
    `message` says why it refuses, and is empty where it passed.
    """

    rule: str
    part: str
    text: str
    passed: bool | None
    message: str = ""

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Clause:
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A further rule that would have admitted the request."""

    rule: str
    description: str
    max_duration_seconds: int
    chain: tuple[StepSpec, ...]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Alternative:
        chain = tuple(StepSpec.from_json(step) for step in stored["chain"])
        return cls(**{**stored, "chain": chain})


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Whether the person may take the privilege now and be reviewed afterwards.

    `chain` is the one that is skipped: its approvers are told at once. `reviewers` are
    approver expressions; `message` says why not, where it is not allowed.
    """

    allowed: bool = False
    max_duration_seconds: int = 0
    review_due_seconds: int = 0
    rule: str | None = None
    reviewers: tuple[str, ...] = ()
    chain: tuple[StepSpec, ...] = ()
    obligations: Obligations = Obligations()
    message: str = "No rule allows break-glass here."

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> BreakGlass:
        return cls(
            **{
                **stored,
                "reviewers": tuple(stored["reviewers"]),
                "chain": tuple(StepSpec.from_json(step) for step in stored["chain"]),
                "obligations": Obligations.from_json(stored["obligations"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Shadow:
    """What the ruling would be were the shadowed files enforced, where that differs."""

    outcome: Outcome
    rule: str | None
    guardrails: tuple[str, ...]
    max_duration_seconds: int
    chain: tuple[StepSpec, ...]
    differs_in: tuple[str, ...]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Shadow:
        return cls(
            **{
                **stored,
                "outcome": Outcome(stored["outcome"]),
                "guardrails": tuple(stored["guardrails"]),
                "chain": tuple(StepSpec.from_json(step) for step in stored["chain"]),
                "differs_in": tuple(stored["differs_in"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Ruling:
    """What policy says. Where `outcome` does not admit, `rule` is None, `chain` is empty and
    `max_duration_seconds` is 0. `guardrails` holds the ids of all that refused; their
    sentences stand in the trace. `errors` names the clauses that could not be evaluated.
    `facts` is `Facts.as_json()`.
    """

    outcome: Outcome
    rule: str | None = None
    guardrails: tuple[str, ...] = ()
    max_duration_seconds: int = 0
    chain: tuple[StepSpec, ...] = ()
    obligations: Obligations = Obligations()
    trace: tuple[Clause, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    break_glass: BreakGlass = BreakGlass()
    errors: tuple[str, ...] = ()
    shadow: Shadow | None = None
    bundle_digest: str = ""
    facts_digest: str = ""
    ruled_at: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def surely_denied(self) -> bool:
        """Whether a guardrail refuses whatever is not known may turn out to be."""
        return any(clause.part == GUARDRAIL and clause.passed is False for clause in self.trace)

    @property
    def missing(self) -> tuple[str, ...]:
        """The sentences that say why not, for the requester; empty where it is admitted."""
        if self.outcome.admits:
            return ()
        if self.outcome is Outcome.DENIED:
            return tuple(
                clause.message
                for clause in self.trace
                if clause.part == GUARDRAIL and clause.passed is not True
            )
        if self.outcome is Outcome.ERROR:
            return ("Policy could not be evaluated, so it refuses. The operators are told.",)
        return _nearest_rule(self.trace) or ("No rule of the policy covers this role for you.",)

    def as_json(self) -> dict[str, Any]:
        """Return the ruling as JSON values; `from_json` gives it back."""
        return {
            "outcome": self.outcome.value,
            "rule": self.rule,
            "guardrails": list(self.guardrails),
            "max_duration_seconds": self.max_duration_seconds,
            "chain": [_step(step) for step in self.chain],
            "obligations": asdict(self.obligations),
            "trace": [clause.as_json() for clause in self.trace],
            "alternatives": [
                {**asdict(alternative), "chain": [_step(step) for step in alternative.chain]}
                for alternative in self.alternatives
            ],
            "break_glass": {
                **asdict(self.break_glass),
                "reviewers": list(self.break_glass.reviewers),
                "chain": [_step(step) for step in self.break_glass.chain],
            },
            "errors": list(self.errors),
            "shadow": None
            if self.shadow is None
            else {
                **asdict(self.shadow),
                "outcome": self.shadow.outcome.value,
                "guardrails": list(self.shadow.guardrails),
                "chain": [_step(step) for step in self.shadow.chain],
                "differs_in": list(self.shadow.differs_in),
            },
            "bundle_digest": self.bundle_digest,
            "facts_digest": self.facts_digest,
            "ruled_at": self.ruled_at,
            "facts": dict(self.facts),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Ruling:
        """Return a ruling that was stored.

        Raises KeyError or TypeError for anything that `as_json` did not write.
        """
        shadow = stored["shadow"]
        return cls(
            outcome=Outcome(stored["outcome"]),
            rule=stored["rule"],
            guardrails=tuple(stored["guardrails"]),
            max_duration_seconds=stored["max_duration_seconds"],
            chain=tuple(StepSpec.from_json(step) for step in stored["chain"]),
            obligations=Obligations.from_json(stored["obligations"]),
            trace=tuple(Clause.from_json(clause) for clause in stored["trace"]),
            alternatives=tuple(Alternative.from_json(a) for a in stored["alternatives"]),
            break_glass=BreakGlass.from_json(stored["break_glass"]),
            errors=tuple(stored["errors"]),
            shadow=None if shadow is None else Shadow.from_json(shadow),
            bundle_digest=stored["bundle_digest"],
            facts_digest=stored["facts_digest"],
            ruled_at=stored["ruled_at"],
            facts=stored["facts"],
        )


def _step(step: StepSpec) -> dict[str, Any]:
    return {
        **asdict(step),
        "any_of": list(step.any_of),
        "escalate_to": list(step.escalate_to),
        "fallback": list(step.fallback),
    }


def _nearest_rule(trace: tuple[Clause, ...]) -> tuple[str, ...]:
    """Return the failed sentences of the rule that the person is closest to: one that is
    for them, with the fewest clauses missing; the first of equals.
    """
    by_rule: dict[str, list[Clause]] = {}
    for clause in trace:
        if clause.part != GUARDRAIL and not clause.part.startswith("break_glass"):
            by_rule.setdefault(clause.rule, []).append(clause)
    best: tuple[tuple[bool, int], tuple[str, ...]] | None = None
    for clauses in by_rule.values():
        failed = [clause for clause in clauses if clause.passed is not True]
        not_for_them = any(clause.part == "who" for clause in failed)
        rank = (not_for_them, len(failed))
        if best is None or rank < best[0]:
            # Whoever the rule is not for is not helped by its further conditions.
            shown = [c for c in failed if c.part == "who"] if not_for_them else failed
            best = (rank, tuple(clause.message or clause.text for clause in shown))
    return best[1] if best else ()

"""The frame of a policy file: what may stand in it, and nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from jit.policy import durations
from jit.policy.facts import ATTRIBUTES, Kind
from jit.policy.ruling import ApprovalStrength, OnTicketClosed, OnTicketUnreachable, Outcome, Record

_APPROVER = re.compile(
    r"(?:user|group):[a-z0-9][a-z0-9._-]*|oncall:[\w./-]+|manager|role-owner|ticket-assignee"
)


def _approver(value: Any) -> str:
    if not isinstance(value, str) or not _APPROVER.fullmatch(value):
        raise ValueError(
            f"{value!r} names nobody; write user:NAME, group:SLUG, oncall:NAME, manager, "
            "role-owner or ticket-assignee"
        )
    return value


def _duration(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str):
        raise ValueError("write a duration with its unit, such as 45s, 30m, 1h30m or 2d")  # noqa: TRY004
    return durations.parse(value)


def _expression(value: Any) -> str:
    """Return CEL as text; YAML's own true and false are CEL too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise ValueError("write an expression as text, in quotes")  # noqa: TRY004
    return value


def _duration_expression(value: Any) -> str:
    """Return CEL; a bare `2h` is short for `duration("7200s")`."""
    text = _expression(value)
    try:
        return f'duration("{durations.parse(text)}s")'
    except ValueError:
        return text


Approver = Annotated[str, BeforeValidator(_approver)]
Seconds = Annotated[int, BeforeValidator(_duration)]
Expression = Annotated[str, BeforeValidator(_expression), StringConstraints(min_length=1)]
DurationExpression = Annotated[str, BeforeValidator(_duration_expression)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]


class Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Metadata(Frame):
    name: Slug
    owner: Sentence


class Clause(Frame):
    """One sentence that the requester can act on."""

    expr: Expression
    message: Sentence


def _who(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    return {"expr": value, "message": "You are not among the people that this rule is for."}


def _match(value: Any) -> Any:
    if not isinstance(value, dict):
        raise ValueError("match maps role.* or target.* to the values that fit")  # noqa: TRY004
    read = {}
    for name, wanted in value.items():
        attribute = ATTRIBUTES.get(name)
        tag = name.removeprefix("role.tags.") if name.startswith("role.tags.") else ""
        if not tag and (
            attribute is None
            or not name.startswith(("role.", "target."))
            or attribute.kind is not Kind.STRING
        ):
            raise ValueError(f"match can't read {name}; it reads texts of role.* and target.*")
        options = wanted if isinstance(wanted, list) else [wanted]
        if not options or not all(isinstance(option, str) for option in options):
            raise ValueError(f"{name} is matched with a text or a list of texts")
        read[name] = frozenset(options)
    return read


Match = Annotated[dict[str, frozenset[str]], BeforeValidator(_match)]


class Step(Frame):
    any_of: list[Approver] = Field(min_length=1)
    quorum: int = Field(default=1, ge=1, le=20)
    lapse_after: Seconds = 3600
    escalate_to: list[Approver] = []
    escalate_after: Seconds | None = None
    fallback: list[Approver] = []


class Approvals(Frame):
    """A branch: the first whose `if` is true gives the chain."""

    if_: Expression = Field(alias="if")
    chain: list[Step]


class Mfa(Frame):
    """The second factor that the requester must have given, at activation."""

    max_age: Seconds
    phishing_resistant: bool = False


class Grant(Frame):
    """What is offered. What is None takes a default that depends on the role's risk."""

    max_duration: DurationExpression
    approvals: list[Approvals] = Field(min_length=1)
    approval_strength: ApprovalStrength | None = None
    mfa: Mfa | None = None
    record: Record = "best_effort"
    on_ticket_closed: OnTicketClosed | None = None
    review_after: Expression = "false"
    same_person_may_repeat: bool = False
    on_ticket_unreachable: OnTicketUnreachable = "refuse"
    extra_step: Step = Step(any_of=["role-owner"])


class BreakGlass(Frame):
    """Privilege now, review afterwards, for those that `who` of the rule admits."""

    allowed: Expression
    message: Sentence = "You may not use break-glass for this role."
    max_duration: DurationExpression
    review_within: Seconds
    reviewers: list[Approver] = ["role-owner"]
    mfa: Mfa = Mfa.model_validate({"max_age": "15m"})


class Rule(Frame):
    id: Slug
    description: Sentence
    match: Match
    who: Annotated[Clause, BeforeValidator(_who)]
    when: list[Clause] = []
    grant: Grant
    break_glass: BreakGlass | None = None


class Guardrail(Frame):
    id: Slug
    description: str = ""
    match: Match = {}
    deny_when: Expression
    message: Sentence


class Expect(Frame):
    """What a case must come to; what is left out is not compared."""

    outcome: Outcome
    rule: str | None = None
    max_duration: Seconds | None = None
    failed: str | None = None
    guardrails: list[str] | None = None
    approvals: list[list[str]] | None = None
    obligations: dict[str, Any] = {}
    break_glass: bool | None = None
    break_glass_max: Seconds | None = None


class Case(Frame):
    name: Sentence
    given: dict[str, Any] = {}
    expect: Expect


class Tests(Frame):
    defaults: dict[str, dict[str, Any]] = {}
    cases: list[Case] = []


class PolicyFile(Frame):
    api_version: Literal["jit/v1"] = Field(alias="apiVersion")
    kind: Literal["AccessPolicy"]
    metadata: Metadata
    mode: Literal["enforce", "shadow"] = "enforce"
    guardrails: list[Guardrail] = []
    rules: list[Rule] = []
    tests: Tests = Tests()

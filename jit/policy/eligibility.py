"""Who may ask for which of many roles, before there is a ticket; pure and fast.

A rule's `match` is one look-up (see `index`); a `who` that reads nothing of the role is asked
once for all roles, one that does once for each combination of the values that it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jit.policy.cel import EvaluationFailed, Program, Situation
from jit.policy.compiled import Condition, Policy
from jit.policy.facts import Facts
from jit.policy.index import bits

_OF_THE_ROLE = ("role.", "target.")
_NOT_YET = ("ticket.",)
_BROKEN = "Policy could not be evaluated, so it refuses."
_UNCOVERED = "No rule of the policy covers this role."


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Whether somebody may ask for a role; `rule` is the first that is for them. The ticket,
    the duration and the justification are judged by the ruling, later.
    """

    eligible: bool
    rule: str | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class RoleIndex:
    """Roles by slug, each with its facts and the masks of the rules and guardrails that
    concern it. Make a new one when the policy or a role changes.
    """

    policy: Policy
    roles: Mapping[str, Mapping[str, Any]]
    masks: Mapping[str, tuple[int, int]]


def index_roles(*, policy: Policy, roles: Sequence[Mapping[str, Any]]) -> RoleIndex:
    """Return the index of these roles, each a mapping of every dotted `role.*` and
    `target.*` fact (see `role_facts`).
    """
    select_rules = policy.rule_selector.select
    select_guardrails = policy.guardrail_selector.select
    return RoleIndex(
        policy=policy,
        roles={role["role.slug"]: role for role in roles},
        masks={role["role.slug"]: (select_rules(role), select_guardrails(role)) for role in roles},
    )


def role_facts(facts: Facts) -> dict[str, Any]:
    """Return only what facts say of the role and its target, by dotted name."""
    return {n: v for n, v in facts.native().items() if n.startswith(_OF_THE_ROLE)}


def eligible(*, index: RoleIndex, facts: Facts) -> dict[str, Eligibility]:
    """Return, by slug, whether the person of `facts` may ask for each role of the index.

    A guardrail that reads the ticket or the request is left to the ruling; one that does
    not refuses here. What can't be evaluated refuses.
    """
    person = _Person(index, facts)
    answers: dict[tuple[int, int, tuple[Any, ...]], tuple[Eligibility, Condition | None]] = {}
    found = {}
    reads = person.reads
    for slug, masks in index.masks.items():
        values = index.roles[slug]
        key = (*masks, tuple(_hashable(values[name]) for name in reads))
        known = answers.get(key)
        if known is None:
            known = answers[key] = person.ask(masks, values)
        answer, refusal = known
        if refusal is not None:
            answer = replace(answer, message=person.sentence(refusal, values))
        found[slug] = answer
    return found


class _Person:
    def __init__(self, index: RoleIndex, facts: Facts) -> None:
        self.policy = index.policy
        self.native = facts.native()
        self.situation = Situation(facts)
        self.free: dict[str, bool | None] = {}
        clauses = [
            *(rule.who for rule in self.policy.rules),
            *(guardrail.deny_when for guardrail in self.policy.guardrails),
        ]
        # Two roles that agree in what any clause reads of them get one answer.
        self.reads = sorted(
            {n for c in clauses for n in c.program.attributes if n.startswith(_OF_THE_ROLE)}
        )

    def ask(
        self, masks: tuple[int, int], values: Mapping[str, Any]
    ) -> tuple[Eligibility, Condition | None]:
        """Return the answer, and the clause whose sentence must be said role by role."""
        rules, guardrails = masks
        situation: Situation | None = None

        def holds(condition: Condition) -> bool | None:
            nonlocal situation
            program = condition.program
            if not _reads(program, _OF_THE_ROLE):
                return self.ask_once(program)
            if situation is None:
                situation = Situation({**self.native, **values})
            return _holds(program, situation)

        for position in bits(guardrails):
            condition = self.policy.guardrails[position].deny_when
            if _reads(condition.program, (*_NOT_YET, "request.")):
                continue
            denies = holds(condition)
            if denies is not False:
                return self.refusal(condition, values)
        return self.first_rule(rules, holds, values)

    def first_rule(
        self, rules: int, holds: Any, values: Mapping[str, Any]
    ) -> tuple[Eligibility, Condition | None]:
        found = None
        nearest = None
        for position in bits(rules):
            rule = self.policy.rules[position]
            # A `who` that reads the ticket can't be answered yet: they may try.
            answer = _reads(rule.who.program, _NOT_YET) or holds(rule.who)
            if answer is None:
                return Eligibility(eligible=False, message=_BROKEN), None
            if answer and found is None:
                found = rule.id
            nearest = nearest or rule.who
        if found is not None:
            return Eligibility(eligible=True, rule=found), None
        if nearest is None:
            return Eligibility(eligible=False, message=_UNCOVERED), None
        return self.refusal(nearest, values)

    def refusal(
        self, condition: Condition, values: Mapping[str, Any]
    ) -> tuple[Eligibility, Condition | None]:
        gaps = [part for part in condition.message.parts if isinstance(part, Program)]
        of_the_role = any(_reads(gap, _OF_THE_ROLE) for gap in gaps)
        sentence = "" if of_the_role else self.sentence(condition, values)
        return Eligibility(eligible=False, message=sentence), condition if of_the_role else None

    def ask_once(self, program: Program) -> bool | None:
        if program.text not in self.free:
            self.free[program.text] = _holds(program, self.situation)
        return self.free[program.text]

    def sentence(self, condition: Condition, values: Mapping[str, Any]) -> str:
        try:
            return condition.message.render(Situation({**self.native, **values}))
        except EvaluationFailed:
            return _BROKEN


def _holds(program: Program, situation: Situation) -> bool | None:
    try:
        return program.holds(situation)
    except EvaluationFailed:
        return None


def _reads(program: Program, prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in program.attributes)


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value

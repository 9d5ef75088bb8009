"""Who may ask for which of many roles, before there is a ticket; pure and fast.

A rule's `match` is one look-up (see `index`). Roles that the same rules concern, and that agree
in everything a `who` reads of a role, are one group and get one answer; a `who` that reads
nothing of the role is asked once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jit.policy.cel import EvaluationFailed, Program, Situation
from jit.policy.compiled import Condition, Policy
from jit.policy.facts import Facts
from jit.policy.index import bits

_OF_THE_ROLE = ("role.", "target.")
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
class _Clauses:
    """The clauses that can be asked before there is a ticket, by position: those that read
    nothing of the role, those that do, and those that must wait.
    """

    conditions: tuple[Condition, ...]
    free: int
    of_the_role: int
    waiting: int


@dataclass(frozen=True, slots=True)
class _Group:
    rules: int
    guardrails: int
    values: tuple[Any, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoleIndex:
    """Roles in groups. Make a new one when the policy or a role changes."""

    policy: Policy
    roles: Mapping[str, Mapping[str, Any]]
    who: _Clauses
    deny_when: _Clauses
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    groups: tuple[_Group, ...]


def role_facts(facts: Facts) -> dict[str, Any]:
    """Return only what facts say of the role and its target, by dotted name."""
    return {n: v for n, v in facts.native().items() if n.startswith(_OF_THE_ROLE)}


def index_roles(*, policy: Policy, roles: Sequence[Mapping[str, Any]]) -> RoleIndex:
    """Return the index of these roles, each a mapping of every dotted `role.*` and
    `target.*` fact, as `role_facts` gives them.
    """
    who = _classify([rule.who for rule in policy.rules], waits_for=("ticket.",))
    deny_when = _classify(
        [guardrail.deny_when for guardrail in policy.guardrails],
        waits_for=("ticket.", "request."),
    )
    asked = {
        name
        for clauses in (who, deny_when)
        for position in bits(clauses.of_the_role)
        for name in clauses.conditions[position].program.attributes
    }
    reads = tuple(sorted(name for name in asked if name.startswith(_OF_THE_ROLE)))
    groups: dict[tuple[int, int, tuple[Any, ...]], list[str]] = {}
    select_rules = policy.rule_selector.select
    select_guardrails = policy.guardrail_selector.select
    for role in roles:
        values = tuple(_hashable(role[name]) for name in reads)
        key = (select_rules(role), select_guardrails(role), values)
        groups.setdefault(key, []).append(role["role.slug"])
    return RoleIndex(
        policy=policy,
        roles={role["role.slug"]: role for role in roles},
        who=who,
        deny_when=deny_when,
        reads=reads,
        needs=tuple(sorted(asked)),
        groups=tuple(_Group(*key, tuple(slugs)) for key, slugs in groups.items()),
    )


def eligible(*, index: RoleIndex, facts: Facts) -> dict[str, Eligibility]:
    """Return, by slug, whether the person of `facts` may ask for each role of the index.

    A guardrail that reads the ticket or the request is left to the ruling; one that does
    not refuses here. What can't be evaluated refuses.
    """
    person = _Person(index, facts)
    found = {}
    for group in index.groups:
        answer, refusal = person.ask(group)
        for slug in group.roles:
            found[slug] = (
                answer
                if refusal is None
                else replace(answer, message=person.sentence(refusal, index.roles[slug]))
            )
    return found


def _classify(conditions: Iterable[Condition], *, waits_for: tuple[str, ...]) -> _Clauses:
    listed = tuple(conditions)
    masks = {"free": 0, "of_the_role": 0, "waiting": 0}
    for position, condition in enumerate(listed):
        if _reads(condition.program, waits_for):
            kind = "waiting"
        elif _reads(condition.program, _OF_THE_ROLE):
            kind = "of_the_role"
        else:
            kind = "free"
        masks[kind] |= 1 << position
    return _Clauses(conditions=listed, **masks)


class _Person:
    def __init__(self, index: RoleIndex, facts: Facts) -> None:
        self.index = index
        self.native = facts.native()
        self.situation = Situation(facts)
        self.situations: dict[tuple[Any, ...], Situation] = {}
        self.who = self._ask_all(index.who, index.who.free, self.situation)
        self.denies = self._ask_all(index.deny_when, index.deny_when.free, self.situation)

    def ask(self, group: _Group) -> tuple[Eligibility, Condition | None]:
        """Return the answer, and the clause whose sentence must be said role by role."""
        denied = self._holding(self.index.deny_when, self.denies, group.guardrails, group)
        # A guardrail without an answer refuses like one that is true.
        refusing = denied[0] | denied[1]
        if refusing:
            return self._refusal(self.index.deny_when.conditions[next(bits(refusing))], group)
        holds, broken = self._holding(self.index.who, self.who, group.rules, group)
        if broken:
            return Eligibility(eligible=False, message=_BROKEN), None
        # A `who` that reads the ticket can't be answered yet: they may try.
        holds |= self.index.who.waiting & group.rules
        if holds:
            rule = self.index.policy.rules[next(bits(holds))]
            return Eligibility(eligible=True, rule=rule.id), None
        if not group.rules:
            return Eligibility(eligible=False, message=_UNCOVERED), None
        return self._refusal(self.index.who.conditions[next(bits(group.rules))], group)

    def _holding(
        self, clauses: _Clauses, free: tuple[int, int], mask: int, group: _Group
    ) -> tuple[int, int]:
        """Return which of the group's clauses hold, and which have no answer."""
        mixed = mask & clauses.of_the_role
        holds, broken = 0, 0
        if mixed:
            holds, broken = self._ask_all(clauses, mixed, self._about(group))
        return (free[0] & mask) | holds, (free[1] & mask) | broken

    def _ask_all(self, clauses: _Clauses, mask: int, situation: Situation) -> tuple[int, int]:
        holds = broken = 0
        for position in bits(mask):
            try:
                if clauses.conditions[position].program.holds(situation):
                    holds |= 1 << position
            except EvaluationFailed:
                broken |= 1 << position
        return holds, broken

    def _about(self, group: _Group) -> Situation:
        """Return the situation of the group's roles, with only what its clauses read."""
        known = self.situations.get(group.values)
        if known is None:
            role = self.index.roles[group.roles[0]]
            facts = {name: role.get(name, self.native[name]) for name in self.index.needs}
            known = self.situations[group.values] = Situation(facts)
        return known

    def _refusal(self, condition: Condition, group: _Group) -> tuple[Eligibility, Condition | None]:
        gaps = [part for part in condition.message.parts if isinstance(part, Program)]
        if any(_reads(gap, _OF_THE_ROLE) for gap in gaps):
            return Eligibility(eligible=False), condition
        sentence = self.sentence(condition, self.index.roles[group.roles[0]])
        return Eligibility(eligible=False, message=sentence), None

    def sentence(self, condition: Condition, role: Mapping[str, Any]) -> str:
        if len(condition.message.parts) == 1:
            return str(condition.message.parts[0])
        try:
            return condition.message.render(Situation({**self.native, **role}))
        except EvaluationFailed:
            return _BROKEN


def _reads(program: Program, prefixes: tuple[str, ...]) -> bool:
    return any(name.startswith(prefixes) for name in program.attributes)


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, dict) else value

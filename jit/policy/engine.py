"""The judgement: facts and a compiled bundle in, a ruling out. Pure; it knows no database.

Guardrails that fit the role are all asked and any that is true denies. Every clause of every
rule that fits is asked, and one that has no answer makes the whole ruling an error, which
refuses. Of the rules whose every clause passed, the first in file order makes the offer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from jit.kernel import clock
from jit.policy import unknowns
from jit.policy.cel import EvaluationFailed, Program, Situation
from jit.policy.compiled import Bundle, CompiledRule, Condition, Policy
from jit.policy.compiler import step_spec
from jit.policy.facts import Facts
from jit.policy.index import bits
from jit.policy.ruling import (
    Alternative,
    BreakGlass,
    Clause,
    Obligations,
    Outcome,
    Ruling,
    Shadow,
    StepSpec,
)

DANGEROUS = frozenset({"high", "critical"})
"""The risks whose grants need the stronger proof and end with their ticket by default."""
SHORTEST = 10
"""Seconds. An offer below the shortest request that can be made is no offer."""
_TICKET = "ticket"
_UNASKED = "Not checked: the ticket system does not answer; an approval step is added instead."


def rule(*, bundle: Bundle, facts: Facts, now: dt.datetime) -> Ruling:
    """Return what the bundle says of the facts.

    Never raises for what the facts hold: whatever can't be evaluated is an error, which
    denies. Shadowed files are evaluated too and only reported, where they differ.
    """
    ruling = decide(policy=bundle.enforced, facts=facts)
    shadow = None
    if bundle.with_shadows is not None:
        shadow = _difference(ruling, decide(policy=bundle.with_shadows, facts=facts))
    return replace(
        ruling,
        shadow=shadow,
        bundle_digest=bundle.digest,
        facts_digest=facts.digest,
        ruled_at=clock.rfc3339(now),
        facts=facts.as_json(),
    )


def decide(*, policy: Policy, facts: Facts) -> Ruling:
    """Return the ruling of one policy, without digests."""
    try:
        judge = _Judge(policy, facts, Situation(facts))
    except EvaluationFailed as error:
        return Ruling(outcome=Outcome.ERROR, errors=(f"facts: {error}",))
    return judge.ruling()


def strict_obligations(risk: str) -> Obligations:
    """Return what a rule that says nothing owes, by the risk of the role."""
    return Obligations(
        approval_strength="web_phishing_resistant" if risk in DANGEROUS else "slack",
        on_ticket_closed="revoke" if risk in DANGEROUS else "warn",
    )


@dataclass(frozen=True, slots=True)
class _Offer:
    rule: CompiledRule
    max_duration_seconds: int
    chain: tuple[StepSpec, ...]
    obligations: Obligations


@dataclass(slots=True)
class _Judge:
    policy: Policy
    facts: Facts
    situation: Situation
    trace: list[Clause] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    situations: dict[frozenset[tuple[str, str]], Situation] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.unknown = unknowns.unknown(self.facts)

    def ruling(self) -> Ruling:
        hits = self.guardrails()
        offers: list[_Offer] = []
        break_glass = BreakGlass()
        for position in bits(self.policy.rule_selector.select(self.facts.values)):
            rule = self.policy.rules[position]
            for_them = self.clause(rule.id, rule.who)
            eligible = self.when(rule)
            if for_them and eligible and (offer := self.offer(rule)) is not None:
                offers.append(offer)
            if for_them and rule.break_glass is not None:
                # Each is asked, even after one allowed it: an error in any refuses.
                found = self.break_glass(rule)
                break_glass = break_glass if break_glass.allowed else found
        return self.combine(hits, offers, break_glass)

    def combine(self, hits: list[str], offers: list[_Offer], break_glass: BreakGlass) -> Ruling:
        refused = Ruling(
            outcome=Outcome.NOT_ELIGIBLE,
            guardrails=tuple(hits),
            obligations=strict_obligations(self.facts["role.risk"]),
            trace=tuple(self.trace),
            errors=tuple(self.errors),
            break_glass=break_glass,
        )
        if self.errors or hits:
            return replace(
                refused,
                outcome=Outcome.ERROR if self.errors else Outcome.DENIED,
                break_glass=BreakGlass(
                    message="Policy could not be evaluated, so it refuses."
                    if self.errors
                    else "A guardrail refuses."
                ),
            )
        if not offers:
            return refused
        first, *others = offers
        return replace(
            refused,
            outcome=Outcome.NEEDS_APPROVAL if first.chain else Outcome.AUTO,
            rule=first.rule.id,
            max_duration_seconds=first.max_duration_seconds,
            chain=first.chain,
            obligations=first.obligations,
            alternatives=tuple(
                Alternative(
                    rule=other.rule.id,
                    description=other.rule.frame.description,
                    max_duration_seconds=other.max_duration_seconds,
                    chain=other.chain,
                )
                for other in others
            ),
        )

    def guardrails(self) -> list[str]:
        hits = []
        for position in bits(self.policy.guardrail_selector.select(self.facts.values)):
            guardrail = self.policy.guardrails[position]
            condition = guardrail.deny_when
            answers = self.answers(guardrail.id, condition.part, condition.program)
            denies = True in answers
            message = self.message(guardrail.id, condition, answers)
            self.note(guardrail.id, condition, _passed(answers, wanted=False), message)
            if denies:
                hits.append(guardrail.id)
        return hits

    def when(self, rule: CompiledRule) -> bool:
        """Return whether every clause passed, or may be stood in for by an extra step."""
        silent = self.ticket_is_silent
        stands_in = silent and rule.frame.grant.on_ticket_unreachable == "extra_step"
        eligible = self.ticket(rule, stands_in=stands_in)
        for condition in rule.when:
            if stands_in and condition.program.reads(_TICKET):
                self.note(rule.id, condition, None, _UNASKED)
            elif not self.clause(rule.id, condition):
                eligible = False
        return eligible

    @property
    def ticket_is_silent(self) -> bool:
        return bool(self.facts["ticket.key"]) and not self.facts["ticket.known"]

    def ticket(self, rule: CompiledRule, *, stands_in: bool) -> bool:
        """Return whether the ticket may be ruled on; a request without one never may."""
        if self.facts["ticket.known"]:
            return True
        key = self.facts["ticket.key"]
        message = "Name the ticket that this is about."
        if stands_in:
            message = _UNASKED
        elif key:
            message = (
                f"The ticket system does not answer, so {key[:200]} can't be checked. "
                "Try again when it does."
            )
        passed = None if stands_in else False
        self.trace.append(Clause(rule.id, _TICKET, "ticket.known", passed, message))
        return stands_in

    def offer(self, rule: CompiledRule) -> _Offer | None:
        grant = rule.frame.grant
        longest = self.longest(rule.id, "grant.max_duration", rule.max_duration)
        chain = self.chain(rule)
        review_after = self.answers(rule.id, "grant.review_after", rule.review_after)
        if longest is None or chain is None or not review_after:
            return None
        if longest < SHORTEST:
            self.trace.append(
                Clause(rule.id, "grant.max_duration", rule.max_duration.text, False,
                       "No time is left in which this may be granted.")
            )  # fmt: skip
            return None
        if self.ticket_is_silent:
            chain = (*chain, step_spec(grant.extra_step))
        return _Offer(
            rule, longest, chain, self.obligations(rule, review_after=True in review_after)
        )

    def chain(self, rule: CompiledRule) -> tuple[StepSpec, ...] | None:
        """Return the chain of the first branch that applies; all branches are asked. Of
        those that may apply, as far as is known, it is the one that asks most people.
        """
        found: list[tuple[StepSpec, ...]] = []
        sure = failed = False
        for number, branch in enumerate(rule.branches):
            answers = self.answers(rule.id, f"grant.approvals[{number}].if", branch.condition)
            failed = failed or not answers
            if True in answers and not sure:
                found.append(branch.chain)
                sure = False not in answers
        if not sure and not failed:
            self.errors.append(f"{rule.id}.grant.approvals: no branch applies")
            return None
        return None if failed else max(found, key=_voices)

    def longest(self, rule: str, part: str, program: Program) -> int | None:
        """Return the seconds of `program`, within the role's longest and the ticket's window."""
        try:
            asked = min(program.seconds(world) for world in self.worlds(program))
        except EvaluationFailed as error:
            self.failed(rule, part, error)
            return None
        return min(asked, int(self.facts["role.max_duration"]), int(self.facts["ticket.window"]))

    def obligations(self, rule: CompiledRule, *, review_after: bool) -> Obligations:
        grant = rule.frame.grant
        strict = strict_obligations(self.facts["role.risk"])
        return Obligations(
            approval_strength=grant.approval_strength or strict.approval_strength,
            mfa_max_age_seconds=grant.mfa.max_age if grant.mfa else None,
            mfa_phishing_resistant=grant.mfa.phishing_resistant if grant.mfa else False,
            record=grant.record,
            on_ticket_closed=grant.on_ticket_closed or strict.on_ticket_closed,
            review_after=review_after,
            same_person_may_repeat=grant.same_person_may_repeat,
            on_ticket_unreachable=grant.on_ticket_unreachable,
        )

    def break_glass(self, rule: CompiledRule) -> BreakGlass:
        """Return what the rule's block says; its own clauses (`when`) need not hold."""
        compiled = rule.break_glass
        if compiled is None:
            return BreakGlass()
        frame = compiled.frame
        allowed = self.clause(rule.id, compiled.allowed)
        longest = self.longest(rule.id, "break_glass.max_duration", compiled.max_duration)
        chain = self.chain(rule)
        if not allowed or chain is None or longest is None or longest < SHORTEST:
            message = self.message(rule.id, compiled.allowed)
            return BreakGlass(rule=rule.id, message=message)
        return BreakGlass(
            allowed=True,
            max_duration_seconds=longest,
            review_due_seconds=frame.review_within,
            rule=rule.id,
            reviewers=tuple(frame.reviewers),
            chain=chain,
            obligations=replace(
                self.obligations(rule, review_after=True),
                mfa_max_age_seconds=frame.mfa.max_age,
                mfa_phishing_resistant=frame.mfa.phishing_resistant,
            ),
            message="",
        )

    def clause(self, rule: str, condition: Condition) -> bool:
        """Ask a clause, note it in the trace and return whether it passed."""
        answers = self.answers(rule, condition.part, condition.program)
        passed = _passed(answers, wanted=True)
        self.note(rule, condition, passed, self.message(rule, condition, answers))
        return passed is True

    def answers(self, rule: str, part: str, program: Program) -> frozenset[bool]:
        """Return the program's answer, both where it hangs on what is not known, and nothing
        (and an error on the ruling) where it has none.
        """
        try:
            return frozenset(program.holds(world) for world in self.worlds(program))
        except _TooManyWorlds:
            return frozenset({True, False})
        except EvaluationFailed as error:
            self.failed(rule, part, error)
            return frozenset()

    def worlds(self, program: Program) -> Iterator[Situation]:
        """Yield the situations that are possible as far as the program reads of them: one,
        unless it reads what is not known.
        """
        yield self.situation
        if not program.attributes & self.unknown:
            return
        found = unknowns.worlds(program, self.facts, self.unknown)
        if found is None:
            raise _TooManyWorlds("it reads more that is not known than can be tried")
        native = self.facts.native()
        for world in found:
            key = frozenset((name, repr(value)) for name, value in world.items())
            if key not in self.situations:
                self.situations[key] = Situation({**native, **world})
            yield self.situations[key]

    def message(
        self, rule: str, condition: Condition, answers: frozenset[bool] = frozenset()
    ) -> str:
        if len(answers) > 1:
            untold = sorted(condition.program.attributes & self.unknown)
            return f"Not known: {', '.join(untold)}. What is not known is never a yes."
        try:
            return condition.message.render(self.situation)
        except EvaluationFailed as error:
            self.failed(rule, f"{condition.part}.message", error)
            return ""

    def failed(self, rule: str, part: str, error: EvaluationFailed) -> None:
        self.errors.append(f"{rule}.{part}: {error}")

    def note(self, rule: str, condition: Condition, passed: bool | None, message: str) -> None:
        """Note how a clause went. Its sentence is of a refusal: it is noted where there was one."""
        said = "" if passed else message
        self.trace.append(Clause(rule, condition.part, condition.program.text, passed, said))


class _TooManyWorlds(EvaluationFailed):
    """So much is unknown that nothing can be said."""


def _passed(answers: frozenset[bool], *, wanted: bool) -> bool | None:
    """Return whether the only answer is the wanted one; None where there are two, or none."""
    return wanted in answers if len(answers) == 1 else None


def _voices(chain: tuple[StepSpec, ...]) -> tuple[int, int]:
    return len(chain), sum(step.quorum for step in chain)


_COMPARED = ("outcome", "rule", "guardrails", "max_duration_seconds", "chain")


def _difference(ruling: Ruling, other: Ruling) -> Shadow | None:
    differs_in = tuple(n for n in _COMPARED if getattr(ruling, n) != getattr(other, n))
    if not differs_in:
        return None
    return Shadow(
        outcome=other.outcome,
        rule=other.rule,
        guardrails=other.guardrails,
        max_duration_seconds=other.max_duration_seconds,
        chain=other.chain,
        differs_in=differs_in,
    )

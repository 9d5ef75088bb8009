"""What a candidate may not be, though it compiles: untested, unreachable, unanswerable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from jit.policy import cases
from jit.policy.compiled import Bundle, CompiledRule, Problem
from jit.policy.compiler import PolicyNotCompiled, compile_bundle, step_spec
from jit.policy.ruling import StepSpec

_WRITABLE = frozenset(
    f"ticket.{name}" for name in ("status", "is_open", "severity", "assignee", "service", "type")
)
_WRITERS = frozenset({"ticket.opened_by", "ticket.changed_by"})
_GROUP = re.compile(r"""["']([^"']+)["']\s+in\s+user\.groups""")


@dataclass(frozen=True, slots=True)
class Directory:
    """What is known of people while linting. `people` returns how many active people an
    approver expression stands for, or None where that depends on the request; `groups` are
    the slugs that exist.
    """

    people: Callable[[str], int | None]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `check` has to say. `bundle` is None when nothing compiled."""

    bundle: Bundle | None
    problems: tuple[Problem, ...]
    results: tuple[cases.CaseResult, ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def check(files: Mapping[str, str], directory: Directory | None = None) -> Report:
    """Compile the files, run their tests and lint them; never raises for what they hold.

    Without a directory, whoever may approve is not counted.
    """
    try:
        bundle = compile_bundle(files)
    except PolicyNotCompiled as error:
        return Report(bundle=None, problems=error.problems)
    return judge(bundle, directory)


def judge(bundle: Bundle, directory: Directory | None = None) -> Report:
    """Run the tests of what compiled, and lint it."""
    results = cases.run(bundle)
    problems = [
        *_failed(results),
        *_untested(bundle, results),
        *_empty(bundle),
        *_unreachable(bundle),
        *_by_own_ticket(bundle),
        *(_unanswerable(bundle, directory) if directory else ()),
    ]
    problems.sort(key=lambda problem: (problem.file, problem.line, problem.message))
    return Report(bundle=bundle, problems=tuple(problems), results=results)


def _at(rule: CompiledRule, message: str, severity: str = "error") -> Problem:
    return Problem(rule.file, rule.line, 1, f"rule {rule.id}", message, severity)


def _failed(results: tuple[cases.CaseResult, ...]) -> Iterator[Problem]:
    for result in results:
        for failure in result.failures:
            yield Problem(result.file, result.line, 1, f"test {result.name!r}", failure)


def _empty(bundle: Bundle) -> Iterator[Problem]:
    if not bundle.enforced.rules:
        yield Problem("", 1, 1, "", "no enforced rule: nobody could ask for anything", "warning")


def _untested(bundle: Bundle, results: tuple[cases.CaseResult, ...]) -> Iterator[Problem]:
    covered = cases.coverage(results)
    for file in bundle.files:
        for guardrail in file.guardrails:
            if guardrail.id not in covered.refused:
                where = f"guardrail {guardrail.id}"
                message = "no test is refused by it; add a case with outcome: denied"
                yield Problem(file.name, guardrail.line, 1, where, message)
        for rule in file.rules:
            if rule.id not in covered.offered:
                yield _at(rule, "no test is admitted by it; add a case with outcome: auto or "
                                "needs_approval")  # fmt: skip
                continue
            for condition in (rule.who, *rule.when):
                always = condition.program.text.strip() == "true"
                if not always and (rule.id, condition.part) not in covered.failed:
                    yield _at(rule, f"{condition.part} fails in no test", "warning")


def _unreachable(bundle: Bundle) -> Iterator[Problem]:
    """Yield the rules and branches that an earlier one always stands before."""
    for file in bundle.files:
        for rule in file.rules:
            for number, branch in enumerate(rule.branches[:-1]):
                if branch.condition.text.strip() == "true":
                    after = f"grant.approvals[{number}] is always true"
                    yield _at(rule, f"{after}; the branches after it are unreachable")
    yield from _covered(bundle.enforced.rules, "error")
    if bundle.with_shadows is not None:
        enforced = {rule.id for rule in bundle.enforced.rules}
        for problem in _covered(bundle.with_shadows.rules, "warning"):
            if problem.where.removeprefix("rule ") not in enforced:
                yield problem


def _by_own_ticket(bundle: Bundle) -> Iterator[Problem]:
    """Yield the empty chains that rest on a ticket which the requester may have written."""
    for file in bundle.files:
        for rule in file.rules:
            for number, branch in enumerate(rule.branches):
                asked = (rule.who.program, *(c.program for c in rule.when), branch.condition)
                reads = {name for program in asked for name in program.attributes}
                written = sorted(reads & _WRITABLE)
                missing = sorted(_WRITERS - reads)
                if not branch.chain and written and missing:
                    yield _at(
                        rule,
                        f"grant.approvals[{number}] asks nobody and rests on {', '.join(written)}, "
                        f"which the requester may have written; nothing asks {missing[0]}: add "
                        "`ticket.opened_by != user.id && !(user.id in ticket.changed_by)`",
                        "warning",
                    )


def _covered(rules: tuple[CompiledRule, ...], severity: str) -> Iterator[Problem]:
    for position, rule in enumerate(rules):
        for earlier in rules[:position]:
            if _covers(earlier, rule):
                message = f"unreachable: {earlier.id} admits everybody that it would"
                yield _at(rule, message, severity)
                break


def _covers(earlier: CompiledRule, later: CompiledRule) -> bool:
    """Whether whatever `later` admits is surely admitted by `earlier`, as far as can be told
    without solving expressions: it asks for nothing that `later` does not ask for.
    """
    for name, values in earlier.match.items():
        if name not in later.match or not later.match[name] <= values:
            return False
    asked = {_plain(c.program.text) for c in (later.who, *later.when)} | {"true"}
    if not {_plain(c.program.text) for c in (earlier.who, *earlier.when)} <= asked:
        return False
    stands_in = later.frame.grant.on_ticket_unreachable == "extra_step"
    return not stands_in or earlier.frame.grant.on_ticket_unreachable == "extra_step"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _unanswerable(bundle: Bundle, directory: Directory) -> Iterator[Problem]:
    for file in bundle.files:
        for rule in file.rules:
            yield from _unknown_groups(rule, directory)
            for part, chain in _chains(rule):
                for message in _nobody(chain, directory, rule):
                    yield _at(rule, f"{part}: {message}")
        for guardrail in file.guardrails:
            for group in _GROUP.findall(guardrail.deny_when.program.text):
                if group not in directory.groups:
                    where = f"guardrail {guardrail.id}"
                    message = f"there is no group {group}"
                    yield Problem(file.name, guardrail.line, 1, where, message, "warning")


def _chains(rule: CompiledRule) -> Iterator[tuple[str, tuple[StepSpec, ...]]]:
    """Yield everything of the rule that somebody must answer, and where it stands."""
    for number, branch in enumerate(rule.branches):
        yield f"grant.approvals[{number}].chain", branch.chain
    if rule.frame.grant.on_ticket_unreachable == "extra_step":
        yield "grant.extra_step", (step_spec(rule.frame.grant.extra_step),)
    if rule.break_glass is not None:
        reviewers = tuple(rule.break_glass.frame.reviewers)
        yield "break_glass.reviewers", (StepSpec(any_of=reviewers),)


def _unknown_groups(rule: CompiledRule, directory: Directory) -> Iterator[Problem]:
    programs = [rule.who.program, *(condition.program for condition in rule.when)]
    named = {group for program in programs for group in _GROUP.findall(program.text)}
    for branch in rule.branches:
        for step in branch.chain:
            approvers = (*step.any_of, *step.escalate_to, *step.fallback)
            named |= {a.removeprefix("group:") for a in approvers if a.startswith("group:")}
    for group in sorted(named - directory.groups):
        yield _at(rule, f"there is no group {group}", "warning")


def _nobody(chain: tuple[StepSpec, ...], directory: Directory, rule: CompiledRule) -> Iterator[str]:
    """Yield why the chain can't be climbed. One person counts once in a chain, so that steps
    that ask the very same people need as many people as all their quorums together.
    """
    needed: dict[tuple[str, ...], int] = {}
    for number, step in enumerate(chain):
        expressions = tuple(sorted(set(step.any_of) | set(step.fallback)))
        repeats = rule.frame.grant.same_person_may_repeat
        needed[expressions] = step.quorum + (0 if repeats else needed.get(expressions, 0))
        counts = [directory.people(expression) for expression in expressions]
        if any(count is None for count in counts):
            continue
        there_are = sum(count or 0 for count in counts)
        if there_are < needed[expressions]:
            asked = ", ".join(step.any_of)
            yield (
                f"nobody can satisfy step {number + 1}: {asked} is {there_are} "
                f"people and {needed[expressions]} are needed"
            )

"""The tests that a policy file carries: run when a candidate is loaded, and in CI."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jit.policy import engine
from jit.policy.compiled import Bundle, CompiledFile
from jit.policy.facts import ATTRIBUTES, NAMESPACES, Facts, UnknownFact, build
from jit.policy.ruling import GUARDRAIL, Ruling
from jit.policy.schema import Case, Expect

MONDAY_NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
"""When a case is asked that does not give `request.at`."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one embedded test went; `failures` says what came instead."""

    file: str
    line: int
    name: str
    failures: tuple[str, ...]
    ruling: Ruling | None

    @property
    def passed(self) -> bool:
        return not self.failures


def run(bundle: Bundle) -> tuple[CaseResult, ...]:
    """Run the tests of every file against the enforced files and, for a shadowed file's own
    tests, as if it were enforced too.
    """
    return tuple(
        _run_case(bundle, file, case, line)
        for file in bundle.files
        for case, line in zip(file.frame.tests.cases, file.case_lines, strict=True)
    )


def _run_case(bundle: Bundle, file: CompiledFile, case: Case, line: int) -> CaseResult:
    try:
        facts = case_facts(file.frame.tests.defaults, case.given)
    except UnknownFact as error:
        return CaseResult(file.name, line, case.name, (str(error),), None)
    ruling = engine.decide(policy=bundle.as_if_enforced(file.name), facts=facts)
    return CaseResult(file.name, line, case.name, tuple(_compare(case.expect, ruling)), ruling)


def case_facts(defaults: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> Facts:
    """Return the facts of a case: the file's defaults, then what the case gives by dotted
    name; a null is what nobody knows. Its on-call systems answer unless it says otherwise.

    Raises UnknownFact for a name or a value that policy can't read.
    """
    nested: dict[str, dict[str, Any]] = {name: {} for name in NAMESPACES}
    nested["user"]["on_call_known"] = True
    for namespace, attributes in defaults.items():
        if namespace not in nested:
            raise UnknownFact(f"tests.defaults: there is no {namespace}")
        nested[namespace].update(attributes)
    for name, value in given.items():
        namespace, _, attribute = name.partition(".")
        if name.startswith("role.tags."):
            tags = dict(nested["role"].get("tags") or {})
            nested["role"]["tags"] = {**tags, name.removeprefix("role.tags."): value}
        elif name not in ATTRIBUTES:
            raise UnknownFact(f"policy has no attribute {name}")
        else:
            nested[namespace][attribute] = value
    request = nested["request"]
    at = request.get("at") or MONDAY_NOON
    now = at if isinstance(at, dt.datetime) else dt.datetime.fromisoformat(at)
    return build(
        user=nested["user"],
        role=nested["role"],
        target=nested["target"],
        ticket=nested["ticket"],
        request=request,
        now=now,
    )


def _compare(expect: Expect, ruling: Ruling) -> list[str]:
    found: dict[str, tuple[Any, Any]] = {
        "outcome": (expect.outcome.value, ruling.outcome.value),
        "rule": (expect.rule, ruling.rule),
        "max_duration": (expect.max_duration, ruling.max_duration_seconds),
        "guardrails": (expect.guardrails, list(ruling.guardrails)),
        "approvals": (expect.approvals, [list(step.any_of) for step in ruling.chain]),
        "break_glass": (expect.break_glass, ruling.break_glass.allowed),
        "break_glass_max": (expect.break_glass_max, ruling.break_glass.max_duration_seconds),
    }
    failures = [
        f"{name}: expected {wanted!r}, got {got!r}"
        for name, (wanted, got) in found.items()
        if name in expect.model_fields_set and wanted != got
    ]
    owed = asdict(ruling.obligations)
    for name, wanted in expect.obligations.items():
        if name not in owed:
            failures.append(f"obligations: there is no {name}")
        elif owed[name] != wanted:
            failures.append(f"obligations.{name}: expected {wanted!r}, got {owed[name]!r}")
    failed = [clause.text for clause in ruling.trace if clause.passed is not True]
    if expect.failed is not None and expect.failed not in failed:
        failures.append(f"failed: {expect.failed!r} did not fail; {failed} did")
    return [*failures, *(f"error: {error}" for error in ruling.errors)] if failures else []


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases touched: rules that made the offer, guardrails that refused, and
    clauses, as (rule, part), that were seen to fail.
    """

    offered: frozenset[str]
    refused: frozenset[str]
    failed: frozenset[tuple[str, str]]


def coverage(results: tuple[CaseResult, ...]) -> Coverage:
    rulings = [result.ruling for result in results if result.ruling is not None]
    return Coverage(
        offered=frozenset(ruling.rule for ruling in rulings if ruling.rule),
        refused=frozenset(hit for ruling in rulings for hit in ruling.guardrails),
        failed=frozenset(
            (clause.rule, clause.part)
            for ruling in rulings
            for clause in ruling.trace
            if clause.passed is False and clause.part != GUARDRAIL
        ),
    )

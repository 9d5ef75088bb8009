"""A bundle as people look at it: how its tests go, what the linter finds, what differs."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from jit.kernel.errors import DomainError
from jit.policy import lint, queries
from jit.policy.cases import CaseResult
from jit.policy.compiled import Problem
from jit.policy.compiler import PolicyNotCompiled
from jit.policy.models import PolicyBundle


@dataclass(frozen=True, slots=True)
class Inspection:
    """`broken` says why a stored bundle can't be evaluated (any more); then it has no tests."""

    results: tuple[CaseResult, ...] = ()
    findings: tuple[Problem, ...] = ()
    broken: str = ""

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        return tuple(result for result in self.results if not result.passed)


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a unified diff; `kind` is `add`, `del` or empty."""

    kind: str
    text: str


def inspect(bundle: PolicyBundle) -> Inspection:
    """Run the tests and the linter over a stored bundle; never raises for what it holds."""
    try:
        report = lint.judge(queries.compiled_bundle(bundle.digest), queries.directory())
    except DomainError as error:
        return Inspection(broken=error.detail)
    except PolicyNotCompiled as error:
        return Inspection(findings=error.problems, broken=str(error))
    return Inspection(results=report.results, findings=report.problems)


def differences(old: PolicyBundle | None, new: PolicyBundle) -> list[tuple[str, list[DiffLine]]]:
    """Return, file by file, the lines that differ, with three lines around them."""
    before = old.files if old else {}
    found = []
    for name in sorted(before.keys() | new.files.keys()):
        was, will = before.get(name, ""), new.files.get(name, "")
        if was == will:
            continue
        lines = difflib.unified_diff(was.splitlines(), will.splitlines(), lineterm="", n=3)
        kinds = {"+": "add", "-": "del"}
        shown = [
            DiffLine(kinds.get(line[:1], ""), line)
            for line in lines
            if not line.startswith(("---", "+++"))
        ]
        found.append((name, shown))
    return found

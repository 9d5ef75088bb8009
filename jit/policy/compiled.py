"""A bundle of policy files, compiled: what the engine evaluates, and what is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from jit.policy import schema
from jit.policy.cel import Program, Situation
from jit.policy.facts import NO_SEVERITY
from jit.policy.index import Selector
from jit.policy.ruling import StepSpec
from jit.policy.schema import Match

LONGEST_INTERPOLATION = 200
"""Characters of a fact that a sentence quotes at most: a ticket's text may be hostile."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a bundle. `where` names rule and field; `severity` is `error`
    (the bundle can't be activated) or `warning`. Lines and columns count from 1.
    """

    file: str
    line: int
    column: int
    where: str
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        where = f" {self.where}:" if self.where else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}:{where} {self.message}"


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A sentence with gaps: texts and programs in turn. Make it with `message`."""

    parts: tuple[str | Program, ...]

    def render(self, situation: Situation) -> str:
        """Return the sentence with its gaps filled.

        Raises EvaluationFailed when a gap has no answer.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        known: str | None = situation.answers.get(self)
        if known is None:
            known = "".join(
                [part if isinstance(part, str) else _quoted(part, situation) for part in self.parts]
            )
            situation.answers[self] = known
        return known


@lru_cache(maxsize=20_000)
def message(parts: tuple[str | Program, ...]) -> Message:
    """Return the sentence of these parts, one and the same for the same parts."""
    return Message(parts)


def _quoted(program: Program, situation: Situation) -> str:
    text = program.spell(situation)
    if text == str(NO_SEVERITY) and program.text.strip() == "ticket.severity":
        return "?"
    return text[:LONGEST_INTERPOLATION]


@dataclass(frozen=True, slots=True)
class Condition:
    """A clause: `part` is where it stands in its rule, `when[0]`."""

    part: str
    program: Program
    message: Message


@dataclass(frozen=True, slots=True)
class Branch:
    condition: Program
    chain: tuple[StepSpec, ...]


@dataclass(frozen=True, slots=True)
class CompiledBreakGlass:
    frame: schema.BreakGlass
    allowed: Condition
    max_duration: Program


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule whose clauses are programs. `line` is where it begins in `file`."""

    id: str
    file: str
    line: int
    frame: schema.Rule
    who: Condition
    when: tuple[Condition, ...]
    max_duration: Program
    branches: tuple[Branch, ...]
    review_after: Program
    break_glass: CompiledBreakGlass | None

    @property
    def match(self) -> Match:
        return self.frame.match


@dataclass(frozen=True, slots=True)
class CompiledGuardrail:
    id: str
    file: str
    line: int
    frame: schema.Guardrail
    deny_when: Condition

    @property
    def match(self) -> Match:
        return self.frame.match


@dataclass(frozen=True)
class Policy:
    """Rules and guardrails in file order, with the selectors that find them by role."""

    rules: tuple[CompiledRule, ...]
    guardrails: tuple[CompiledGuardrail, ...]

    @cached_property
    def rule_selector(self) -> Selector:
        return Selector([rule.match for rule in self.rules])

    @cached_property
    def guardrail_selector(self) -> Selector:
        return Selector([guardrail.match for guardrail in self.guardrails])


@dataclass(frozen=True)
class CompiledFile:
    """One file; `case_lines` are the lines on which its tests begin, in their order."""

    name: str
    frame: schema.PolicyFile
    rules: tuple[CompiledRule, ...]
    guardrails: tuple[CompiledGuardrail, ...]
    case_lines: tuple[int, ...]


@dataclass(frozen=True)
class Bundle:
    """Files that compiled. `enforced` decides; `with_shadows` is what would decide were the
    shadowed files enforced, or None where there are none.
    """

    digest: str
    files: tuple[CompiledFile, ...]

    @cached_property
    def enforced(self) -> Policy:
        return self._policy([file for file in self.files if file.frame.mode == "enforce"])

    @cached_property
    def with_shadows(self) -> Policy | None:
        if all(file.frame.mode == "enforce" for file in self.files):
            return None
        return self._policy(self.files)

    def as_if_enforced(self, name: str) -> Policy:
        """Return the policy of the enforced files and the one called `name`."""
        return self._policy([f for f in self.files if f.frame.mode == "enforce" or f.name == name])

    @staticmethod
    def _policy(files: Sequence[CompiledFile]) -> Policy:
        return Policy(
            rules=tuple(rule for file in files for rule in file.rules),
            guardrails=tuple(guardrail for file in files for guardrail in file.guardrails),
        )


def digest(files: Mapping[str, str]) -> str:
    """Return the bundle's id: the SHA-256, in hex, of its canonical files, which are a JSON
    object of names and texts, sorted by name, with unix line ends.
    """
    text = json.dumps(canonical(files), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files with unix line ends and one at the end, in order of their names."""
    return {
        name: files[name].replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"
        for name in sorted(files)
    }

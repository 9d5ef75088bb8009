"""Turns policy files into a compiled bundle, or says all that is wrong, file, line and field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from jit.policy import compiled, documents, schema
from jit.policy.cel import Fault, NotCompiled, Program, Wants, compile_clause
from jit.policy.compiled import (
    Branch,
    Bundle,
    CompiledBreakGlass,
    CompiledFile,
    CompiledGuardrail,
    CompiledRule,
    Condition,
    Message,
    Problem,
)
from jit.policy.documents import Document, Path
from jit.policy.ruling import StepSpec

_GAP = re.compile(r"\$\{([^{}]*)\}")
LARGEST = 1_000_000
"""Characters of a bundle."""


class PolicyNotCompiled(ValueError):
    """The bundle can't be evaluated; `problems` holds everything that is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def compile_bundle(files: Mapping[str, str]) -> Bundle:
    """Return the compiled bundle of these files (names to texts).

    Raises PolicyNotCompiled with every problem of every file, not only the first.
    """
    texts = compiled.canonical(files)
    if sum(map(len, texts.values())) > LARGEST:
        raise PolicyNotCompiled([Problem("", 1, 1, "", f"over {LARGEST} characters in all")])
    problems: list[Problem] = []
    done = [
        file
        for name, text in texts.items()
        if (file := _FileCompiler(name, text, problems).run()) is not None
    ]
    _refuse_twins(done, problems)
    if problems:
        raise PolicyNotCompiled(problems)
    return Bundle(digest=compiled.digest(files), files=tuple(done))


def _refuse_twins(files: list[CompiledFile], problems: list[Problem]) -> None:
    seen: dict[str, str] = {}
    for file in files:
        parts: list[CompiledGuardrail | CompiledRule] = [*file.guardrails, *file.rules]
        for part in parts:
            if part.id in seen:
                problems.append(
                    Problem(
                        file.name,
                        part.line,
                        1,
                        f"rule {part.id}",
                        f"the id is taken by {seen[part.id]}",
                    )
                )
            seen.setdefault(part.id, f"{file.name}:{part.line}")


class _FileCompiler:
    def __init__(self, name: str, text: str, problems: list[Problem]) -> None:
        self.name = name
        self.text = text
        self.problems = problems
        self.document = Document(None, {})

    def run(self) -> CompiledFile | None:
        before = len(self.problems)
        try:
            self.document = documents.read(self.text)
        except documents.Unreadable as error:
            place = error.place
            self.problems.append(Problem(self.name, place.line, place.column, "", str(error)))
            return None
        if not isinstance(self.document.content, dict):
            self.problem((), "a policy file is a map; begin with apiVersion: jit/v1")
            return None
        try:
            frame = schema.PolicyFile.model_validate(self.document.content)
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_context=False):
                self.problem(_path(fault["loc"]), _spoken(fault))
            return None
        file = self.file(frame)
        return file if len(self.problems) == before else None

    def file(self, frame: schema.PolicyFile) -> CompiledFile:
        return CompiledFile(
            name=self.name,
            frame=frame,
            rules=tuple(self.rule(i, rule) for i, rule in enumerate(frame.rules)),
            guardrails=tuple(self.guardrail(i, g) for i, g in enumerate(frame.guardrails)),
            case_lines=tuple(
                self.document.place(("tests", "cases", i)).line
                for i in range(len(frame.tests.cases))
            ),
        )

    def guardrail(self, index: int, frame: schema.Guardrail) -> CompiledGuardrail:
        path: Path = ("guardrails", index)
        return CompiledGuardrail(
            id=frame.id,
            file=self.name,
            line=self.document.place(path).line,
            frame=frame,
            deny_when=Condition(
                "deny_when",
                self.program((*path, "deny_when"), frame.deny_when),
                self.message((*path, "message"), frame.message),
            ),
        )

    def rule(self, index: int, frame: schema.Rule) -> CompiledRule:
        path: Path = ("rules", index)
        grant: Path = (*path, "grant")
        branches = tuple(
            Branch(
                self.program((*grant, "approvals", i, "if"), branch.if_),
                tuple(step_spec(step) for step in branch.chain),
            )
            for i, branch in enumerate(frame.grant.approvals)
        )
        if branches[-1].condition.text.strip() != "true":
            last = (*grant, "approvals", len(branches) - 1)
            self.problem(last, "the last branch must be if: 'true', so that one always applies")
        return CompiledRule(
            id=frame.id,
            file=self.name,
            line=self.document.place(path).line,
            frame=frame,
            who=self.condition(path, "who", frame.who),
            when=tuple(
                self.condition(path, f"when[{i}]", clause, "when", i)
                for i, clause in enumerate(frame.when)
            ),
            max_duration=self.program(
                (*grant, "max_duration"), frame.grant.max_duration, Wants.DURATION
            ),
            branches=branches,
            review_after=self.program((*grant, "review_after"), frame.grant.review_after),
            break_glass=self.break_glass((*path, "break_glass"), frame.break_glass),
        )

    def break_glass(self, path: Path, frame: schema.BreakGlass | None) -> CompiledBreakGlass | None:
        if frame is None:
            return None
        return CompiledBreakGlass(
            frame=frame,
            allowed=Condition(
                "break_glass.allowed",
                self.program((*path, "allowed"), frame.allowed),
                self.message((*path, "message"), frame.message),
            ),
            max_duration=self.program((*path, "max_duration"), frame.max_duration, Wants.DURATION),
        )

    def condition(
        self, path: Path, part: str, clause: schema.Clause, *keys: str | int
    ) -> Condition:
        path = (*path, *(keys or (part,)))
        return Condition(
            part,
            self.program((*path, "expr"), clause.expr),
            self.message((*path, "message"), clause.message),
        )

    def program(self, path: Path, text: str, wants: Wants = Wants.BOOL) -> Program:
        return self.compiling(path, text, lambda: compile_clause(text, wants), 0)

    def message(self, path: Path, text: str) -> Message:
        parts: list[str | Program] = []
        end = 0
        for gap in _GAP.finditer(text):
            parts += [text[end : gap.start()], self.gap(path, text, gap)]
            end = gap.end()
        if "${" in _GAP.sub("", text):
            self.problem(path, "a ${ without its }; gaps hold no braces")
        return compiled.message((*parts, text[end:]) if parts else (text,))

    def gap(self, path: Path, text: str, gap: re.Match[str]) -> Program:
        inner = gap.group(1)
        return self.compiling(path, text, lambda: compile_clause(inner, Wants.TEXT), gap.start(1))

    def compiling(
        self, path: Path, text: str, compile_: Callable[[], Program], offset: int
    ) -> Program:
        """Return the program, or note what is wrong and return one that is never asked."""
        try:
            return compile_()
        except NotCompiled as error:
            for fault in error.faults:
                self.fault(path, text, fault, offset)
            return compile_clause("false", Wants.BOOL)

    def fault(self, path: Path, text: str, fault: Fault, offset: int) -> None:
        """Note a fault of an expression where it stands in the file."""
        place = self.document.place(path)
        column = fault.column + (offset if fault.line == 1 else 0)
        lines = self.text.splitlines()
        line = lines[place.line - 1 : place.line] or [""]
        # A text on one line without escapes can be pointed into; of others we know the line.
        if line[0][place.column - 1 :].startswith(text.splitlines()[0] if text else "\0"):
            column += place.column - 1
            self.problem(path, fault.message, place.line + fault.line - 1, column)
        else:
            where = f" (at {fault.line}:{column} of the expression)"
            self.problem(path, fault.message + where)

    def problem(
        self, path: Path, message: str, line: int | None = None, column: int | None = None
    ) -> None:
        place = self.document.place(path)
        self.problems.append(
            Problem(
                self.name,
                place.line if line is None else line,
                place.column if column is None else column,
                self.where(path),
                message,
            )
        )

    def where(self, path: Path) -> str:
        """Return the path in the author's words: `rule payments-oncall-db: when[0].expr`."""
        kinds = {"rules": "rule", "guardrails": "guardrail"}
        if len(path) > 1 and path[0] in kinds and isinstance(path[1], int):
            items: Any = self.document.content[path[0]]
            item = items[path[1]] if isinstance(items, list) and path[1] < len(items) else None
            name = item.get("id") if isinstance(item, dict) else None
            head = f"{kinds[str(path[0])]} {name or path[1] + 1}"
            return f"{head}: {_dotted(path[2:])}" if path[2:] else head
        return _dotted(path)


def step_spec(step: schema.Step) -> StepSpec:
    return StepSpec(
        any_of=tuple(step.any_of),
        quorum=step.quorum,
        lapse_after_seconds=step.lapse_after,
        escalate_to=tuple(step.escalate_to),
        escalate_after_seconds=step.escalate_after,
        fallback=tuple(step.fallback),
    )


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _path(location: tuple[int | str, ...]) -> Path:
    """Return pydantic's location as a path of the file."""
    return tuple("if" if part == "if_" else part for part in location)


def _spoken(fault: Any) -> str:
    """Return pydantic's complaint as a sentence for the author."""
    kinds = {
        "extra_forbidden": "there is no such field here",
        "missing": "this field is needed",
    }
    message: str = fault["msg"]
    return kinds.get(fault["type"], message.removeprefix("Value error, "))

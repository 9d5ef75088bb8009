"""The one small class around the CEL engine, so that the engine can be replaced.

Variables are dotted and typed (`"ticket.severity": INT`): what does not exist, or is compared
with the wrong type, is found when a policy is loaded. The engine returns *errors as values*,
as text that Python takes for true; nothing leaves this module without its type checked.
See docs/adr on the choice of the engine.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from cel_expr_python import cel as engine

from jit.policy import durations
from jit.policy.facts import ATTRIBUTES, Facts, Kind

_KINDS: Mapping[Kind, Any] = {
    Kind.STRING: engine.Type.STRING,
    Kind.INT: engine.Type.INT,
    Kind.BOOL: engine.Type.BOOL,
    Kind.DURATION: engine.Type.DURATION,
    Kind.TIMESTAMP: engine.Type.TIMESTAMP,
    Kind.STRINGS: engine.Type.List(engine.Type.STRING),
    Kind.TAGS: engine.Type.Map(engine.Type.STRING, engine.Type.STRING),
}
_PROBLEM = re.compile(
    r"ERROR: <input>:(\d+):(\d+): (.*?)(?: \(in container '[^']*'\))?(?=\n|$| \[)"
)
_LITERAL = re.compile(
    r"""\b(?:duration|timestamp)\(\s*(?P<quote>["'])[^"'\\]*(?P=quote)\s*\)"""
    r"""|\.(?:matches|getHours|getDayOfWeek|getFullYear|getMonth|getDate)\(\s*"""
    r"""(?P<other>["'])[^"'\\]*(?P=other)\s*\)"""
)
LONGEST = 2000
"""Characters of an expression; a longer one belongs into two clauses."""


class Wants(StrEnum):
    """What a clause must answer."""

    BOOL = "BOOL"
    DURATION = "DURATION"
    TEXT = "STRING"


_TYPES: Mapping[Wants, Any] = {
    Wants.BOOL: engine.Type.BOOL,
    Wants.DURATION: engine.Type.DURATION,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an expression; `line` and `column` count from 1 within it."""

    line: int
    column: int
    message: str


class NotCompiled(ValueError):
    """The expression can't be what the clause wants."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{f.line}:{f.column}: {f.message}" for f in self.faults))


class EvaluationFailed(Exception):
    """The engine has no answer. Whoever asked must refuse."""


class _Broken(str):
    """What stands in the place of an answer that the engine does not have."""

    __slots__ = ()


class Situation:
    """Facts, bound once for all the programs that are asked about them. Programs of one text
    are one program, and its answer is kept: policies repeat themselves.
    """

    def __init__(self, facts: Facts | Mapping[str, Any]) -> None:
        self.answers: dict[Any, Any] = {}
        try:
            native = facts.native() if isinstance(facts, Facts) else dict(facts)
            self.activation = _WHOLE.Activation(native)
        except Exception as error:
            raise EvaluationFailed(f"the facts could not be bound: {error}") from error


class Program:
    """An expression that was compiled and typed."""

    def __init__(self, text: str, wants: Wants, compiled: Any) -> None:
        self.text = text
        self.wants = wants
        self._compiled = compiled

    def __repr__(self) -> str:
        return f"Program({self.text!r})"

    def holds(self, situation: Situation) -> bool:
        """Return the answer of a BOOL program.

        Raises EvaluationFailed unless the engine answered true or false: an error arrives as
        a non-empty text, which is true to Python, so the type is checked, never the truth.
        """
        value = self._value(situation)
        if value is True or value is False:
            return bool(value)
        raise EvaluationFailed(_sentence(value))

    def seconds(self, situation: Situation) -> int:
        """Return the answer of a DURATION program in whole seconds, rounded down.

        Raises EvaluationFailed for an error and for a negative duration.
        """
        value = self._value(situation)
        if not isinstance(value, dt.timedelta):
            raise EvaluationFailed(_sentence(value))
        if value < dt.timedelta(0):
            raise EvaluationFailed("the duration is negative")
        return int(value.total_seconds())

    def spell(self, situation: Situation) -> str:
        """Return the answer as text for a sentence.

        Raises EvaluationFailed for an error, which only the engine's own type tells from a
        text.
        """
        value = self._value(situation)
        if isinstance(value, str) and not isinstance(value, _Broken):
            return value
        if isinstance(value, dt.timedelta):
            return durations.text(max(0, int(value.total_seconds())))
        raise EvaluationFailed(_sentence(value))

    def _value(self, situation: Situation) -> Any:
        """Return the answer, or a `_Broken` that says why there is none."""
        known = situation.answers.get(self)
        if known is not None:
            return known
        value: Any
        try:
            answer = self._compiled.eval(situation.activation)
            value = answer.value()
        except Exception as error:  # noqa: BLE001 -- whatever the binding raises is no answer
            value = _Broken(error)
        else:
            # Only text can be mistaken: an error's value is a text, and so is an answer's.
            if isinstance(value, str) and answer.type() != engine.Type.STRING:
                value = _Broken(value)
            elif value is None:
                value = _Broken("null")
        situation.answers[self] = value
        return value

    @cached_property
    def attributes(self) -> frozenset[str]:
        """The attributes it may read: never too few, though a name inside a text counts."""
        if "`" in self.text or "//" in self.text:
            return frozenset(ATTRIBUTES)
        words = {f"{one}.{two}" for one, two in re.findall(r"\b(\w+)\s*\.\s*(?=(\w+))", self.text)}
        return frozenset(words & ATTRIBUTES.keys())

    def reads(self, namespace: str) -> bool:
        """Whether it may read an attribute of `namespace`."""
        return any(name.startswith(f"{namespace}.") for name in self.attributes)


_WHOLE = engine.NewEnv(variables={name: _KINDS[a.kind] for name, a in ATTRIBUTES.items()})
_CONSTANT = engine.NewEnv(variables={})


@lru_cache(maxsize=20_000)
def compile_clause(text: str, wants: Wants) -> Program:
    """Return `text` as a program that answers with `wants`.

    A TEXT program may be written with a number, a duration or a boolean: it is spelt out.
    Raises NotCompiled, with every fault's line and column, for an unknown attribute or
    function, a clash of types, another type than wanted, or a literal that can't be read.
    """
    if len(text) > LONGEST:
        raise NotCompiled([Fault(1, 1, f"longer than {LONGEST} characters; split the clause")])
    if _uses_bare_has(text) is not None:
        raise NotCompiled([_has_hint(text)])
    compiled = _compile(text)
    found = compiled.return_type()
    if wants is Wants.TEXT:
        compiled = _spelt(text, compiled)
    elif found != _TYPES[wants]:
        raise NotCompiled([Fault(1, 1, f"this is {found.name()}, but {wants} is needed here")])
    faults = list(_bad_literals(text))
    if faults:
        raise NotCompiled(faults)
    return Program(text, wants, compiled)


def _compile(text: str) -> Any:
    try:
        return _WHOLE.compile(text)
    except Exception as error:
        raise NotCompiled(_faults(str(error))) from error


def _spelt(text: str, compiled: Any) -> Any:
    found = compiled.return_type()
    if found in (engine.Type.STRING, engine.Type.DURATION):
        return compiled
    if found in (engine.Type.INT, engine.Type.BOOL):
        return _compile(f"string({text}\n)")  # the text may end in a comment
    raise NotCompiled([Fault(1, 1, f"this is {found.name()}, which a sentence can't hold")])


def _faults(report: str) -> list[Fault]:
    faults = [
        Fault(int(line), int(column), _friendly(message))
        for line, column, message in _PROBLEM.findall(report)
    ]
    return faults or [Fault(1, 1, report)]


def _friendly(message: str) -> str:
    message = message.replace("google.protobuf.", "")
    unknown = re.fullmatch(r"undeclared reference to '([^']*)'", message)
    if unknown is None:
        return message
    name = unknown.group(1)
    near = difflib.get_close_matches(name, ATTRIBUTES, n=1)
    return f"there is no {name}" + (f"; did you mean {near[0]}?" if near else "")


def _uses_bare_has(text: str) -> re.Match[str] | None:
    for match in re.finditer(r"\bhas\(\s*(\w+\.\w+)\s*\)", text):
        if match.group(1) in ATTRIBUTES:
            return match
    return None


def _has_hint(text: str) -> Fault:
    match = _uses_bare_has(text)
    if match is None:
        raise AssertionError("only asked where has() was found")
    name = match.group(1)
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - text.rfind("\n", 0, match.start())
    return Fault(
        line,
        column,
        f"has({name}) asks nothing: {name} is always there, with the default "
        f"{ATTRIBUTES[name].default!r} where nobody knows it. Compare its value instead; "
        "has() is for keys of maps, such as has(role.tags.tier)",
    )


def _bad_literals(text: str) -> Iterable[Fault]:
    """Yield the literals that would fail each time they are asked: the engine reads
    durations, times, patterns and zones only when it evaluates.
    """
    for match in _LITERAL.finditer(text):
        call = match.group(0)
        if call.startswith(".matches"):
            call = f'""{call}'
        elif call.startswith("."):
            call = f'timestamp("2026-01-01T00:00:00Z"){call}'
        answer = _CONSTANT.compile(call).eval(_CONSTANT.Activation({}))
        if answer.type() == engine.Type.ERROR:
            line = text.count("\n", 0, match.start()) + 1
            column = match.start() - text.rfind("\n", 0, match.start())
            yield Fault(line, column, _sentence(answer.value()))


def _sentence(value: object) -> str:
    """Return the engine's complaint without its code and without the facts it may quote."""
    text = str(value).splitlines()[0] if str(value) else "no answer"
    return re.sub(r"^[A-Z_]+: ", "", text)[:200]

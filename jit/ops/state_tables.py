"""docs/states.md, written from the machines themselves."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from jit.elevation.states import GRANT, REQUEST, REVIEW
from jit.kernel.states import Machine

HEAD = """# States

Written by `manage.py states --write`; a test compares. Each move is one guarded
`UPDATE … WHERE state = source` that hits exactly one row, with its audit event in the same
transaction. The verb is the event's action, as `<machine>.<verb>`.
"""


def machines() -> list[Machine]:
    """Return every machine there is: the core's, and those that a wing names in settings."""
    wings = [import_string(path) for path in settings.STATE_MACHINES]
    return [REQUEST, *wings, GRANT, REVIEW]


def document() -> str:
    """Return the page: a diagram and a table for each machine."""
    return HEAD + "".join(_section(machine) for machine in machines())


def _section(machine: Machine) -> str:
    initial = [f"    [*] --> {state.value}" for state in sorted(machine.initial)]
    moves = [
        f"    {source.value} --> {target.value}: {verb}"
        for (source, verb), target in machine.moves.items()
    ]
    rows = [
        f"| {source.value} | `{machine.name}.{verb}` | {target.value} |"
        for (source, verb), target in machine.moves.items()
    ]
    return "\n".join(
        [
            "",
            f"## {machine.name.capitalize()}",
            "",
            "```mermaid",
            "stateDiagram-v2",
            *initial,
            *moves,
            "```",
            "",
            "| from | event | to |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )

"""State machines as data: which verb moves what from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class IllegalMove(Exception):
    """The machine has no such move; always a bug of the caller, never of the user."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A table of moves. `moves` maps (source state, verb) to the target state; the verb is
    also the audit action, as `<name>.<verb>` (`grant.revoked`).
    """

    name: str
    initial: frozenset[StrEnum]
    moves: Mapping[tuple[StrEnum, str], StrEnum]

    def target(self, source: str, verb: str) -> StrEnum:
        """Return the state that `verb` leads to from `source`, or raise IllegalMove."""
        for (state, name), target in self.moves.items():
            if state.value == source and name == verb:
                return target
        raise IllegalMove(f"{self.name}: no move {verb!r} from {source}")

    def action(self, verb: str) -> str:
        return f"{self.name}.{verb}"

    @property
    def verbs(self) -> frozenset[str]:
        return frozenset(verb for _, verb in self.moves)

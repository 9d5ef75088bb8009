"""What can be wrong with a recording, named so that a person knows what they can't see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sessions.recording.models import Standing


class Kind(StrEnum):
    """The kinds; those in BROKEN mean that what is stored is not what was recorded."""

    BROKEN = "broken"
    GAP = "gap"
    MISPLACED = "misplaced"
    REPEATED = "repeated"
    FOREIGN = "foreign"
    CHAIN = "chain"
    HEAD = "head"
    LOST_TAIL = "lost-tail"
    UNFINISHED = "unfinished"
    FAILED = "failed"
    UNREADABLE = "unreadable"
    LOG = "log"


BROKEN = frozenset(Kind) - {Kind.UNFINISHED, Kind.FAILED, Kind.LOST_TAIL}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `first` and `last` are pieces, `at_ms` where it shows."""

    kind: Kind
    sentence: str
    first: int | None = None
    last: int | None = None
    at_ms: int | None = None

    def plain(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "sentence": self.sentence,
            "first": self.first,
            "last": self.last,
            "at_ms": self.at_ms,
        }


def pieces(first: int, last: int) -> str:
    return f"piece {first}" if first == last else f"pieces {first} to {last}"


def standing(problems: Iterable[Problem]) -> Standing:
    """Return the word for a recording with these problems."""
    kinds = {problem.kind for problem in problems}
    if kinds & BROKEN:
        return Standing.BROKEN
    return Standing.INCOMPLETE if kinds else Standing.WHOLE

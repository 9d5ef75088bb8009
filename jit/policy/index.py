"""Which rules concern which role: `match` is answered by bit masks, once per role.

Of every attribute that some `match` reads, a table holds the rules that accept each value. A
role's rules are the AND of a few look-ups, whatever their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TAGS = "role.tags."


def bits(mask: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Selector:
    """The `match` blocks of a policy's rules (or guardrails), by position."""

    def __init__(self, matches: Sequence[Mapping[str, frozenset[str]]]) -> None:
        everything = (1 << len(matches)) - 1
        self._everything = everything
        self._tables: dict[str, tuple[dict[str, int], int]] = {}
        for name in sorted({name for match in matches for name in match}):
            accepts: dict[str, int] = {}
            indifferent = 0
            for position, match in enumerate(matches):
                if name not in match:
                    indifferent |= 1 << position
                    continue
                for value in match[name]:
                    accepts[value] = accepts.get(value, 0) | 1 << position
            # Whoever does not ask for the attribute accepts each of its values.
            self._tables[name] = (
                {value: mask | indifferent for value, mask in accepts.items()},
                indifferent,
            )

    def select(self, values: Mapping[str, Any]) -> int:
        """Return the mask of the positions whose `match` fits these dotted facts."""
        mask = self._everything
        for name, (accepts, indifferent) in self._tables.items():
            if name.startswith(_TAGS):
                value = values["role.tags"].get(name.removeprefix(_TAGS))
            else:
                value = values[name]
            mask &= accepts.get(value, indifferent)
            if not mask:
                break
        return mask

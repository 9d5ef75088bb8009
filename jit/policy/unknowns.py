"""What is not known, and what it may be: an unknown is tried as all that could change an answer.

A default alone can't keep an unknown from being a yes: `ticket.opened_by != user.id` is true of
the empty text. So a clause that reads an unknown is asked once for each value that it may
have, and counts as fulfilled only if it is fulfilled for all of them.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jit.policy.cel import Program
from jit.policy.facts import ATTRIBUTES, LONG_AGO, NO_SEVERITY, Facts, Kind

MOST_WORLDS = 256
"""Combinations that are tried. A clause that could have more counts as unanswerable."""
_ON_CALL = frozenset({"user.on_call_for", "user.on_call_left", "user.acknowledged_for"})
_OF_A_TICKET = frozenset(name for name in ATTRIBUTES if name.startswith("ticket.")) - {
    "ticket.system",
    "ticket.key",
    "ticket.known",
    "ticket.unknown",
}
_STATED = frozenset({"ticket.status", "ticket.service", "ticket.type"})
"""Empty means that nobody stated it. That nobody is the assignee is known."""
_QUOTED = re.compile(r"""(["'])((?:(?!\1)[^\\])*)\1""")
_SEVERITIES = (1, 2, 3, 4, 5, NO_SEVERITY)


def unknown(facts: Facts) -> frozenset[str]:
    """Return the names of what nobody could tell: all of a ticket whose system is silent, the
    parts that a ticket system keeps to itself or that nobody stated, and on-call duty where
    a system was silent.
    """
    names: set[str] = set()
    if facts["ticket.known"]:
        names |= {f"ticket.{name}" for name in facts["ticket.unknown"]} & _OF_A_TICKET
        names |= {name for name in _STATED if not facts[name]}
    elif facts["ticket.key"]:
        names |= _OF_A_TICKET
    if not facts["user.on_call_known"]:
        names |= _ON_CALL
    return frozenset(names)


def worlds(
    program: Program, facts: Facts, names: frozenset[str]
) -> Iterator[Mapping[str, Any]] | None:
    """Return every combination of the values that what the program reads of `names` may
    have, as native values by dotted name; None where there are more than MOST_WORLDS.
    """
    read = sorted(program.attributes & names)
    texts = _texts(program, facts)
    choices = [_choices(name, facts[name], texts) for name in read]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_WORLDS:
        return None
    return (dict(zip(read, world, strict=True)) for world in itertools.product(*choices))


def _choices(name: str, value: Any, texts: list[str]) -> list[Any]:
    kind = ATTRIBUTES[name].kind
    if kind is Kind.STRING:
        return list(dict.fromkeys([value, "", *texts]))
    if kind is Kind.STRINGS:
        more = [text for text in texts if text not in value]
        return [value, *([*value, text] for text in more), [*value, *more]]
    if kind is Kind.BOOL:
        return [False, True]
    if kind is Kind.INT:
        return list(_SEVERITIES)
    if kind is Kind.DURATION:
        return [dt.timedelta(seconds=s) for s in dict.fromkeys([value, 0, LONG_AGO])]
    return [value]


def _texts(program: Program, facts: Facts) -> list[str]:
    """Return every text that the program could compare an unknown one with: those it spells
    out, and those of the facts that it reads.
    """
    found = [match[2] for match in _QUOTED.finditer(program.text)]
    for name in sorted(program.attributes):
        value = facts[name]
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found += value.values()
        elif isinstance(value, list):
            found += value
    found += facts["user.on_call_checks"].keys() if program.attributes & _ON_CALL else ()
    return list(dict.fromkeys(text for text in found if text))

"""What a stored ruling weighed, clause by clause, with the values that each was asked about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jit.policy.facts import ATTRIBUTES, Kind

_DOTTED = re.compile(r"\b(\w+)\s*\.\s*(?=(\w+))")
_WORD = re.compile(r"\w+")


def weighed(ruling: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the trace of a stored ruling, each clause with `values`: the facts that its text
    names, by dotted name (durations in whole seconds). A `message` says why a clause refuses;
    one that passed has none, whatever was stored with it.
    """
    facts = ruling.get("facts") or {}
    return [
        {
            **clause,
            "message": "" if clause["passed"] else clause.get("message", ""),
            "values": _values(clause["text"], facts),
        }
        for clause in ruling.get("trace") or ()
    ]


def _values(text: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that `text` names. Of a map only the keys that it names: the rest of a
    person's directory entry is nobody's business.
    """
    found = {}
    words = set(_WORD.findall(text))
    for namespace, attribute in _DOTTED.findall(text):
        name = f"{namespace}.{attribute}"
        if name in ATTRIBUTES and attribute in facts.get(namespace, {}):
            value = facts[namespace][attribute]
            if ATTRIBUTES[name].kind is Kind.TAGS:
                value = {key: one for key, one in value.items() if words >= set(_WORD.findall(key))}
            found[name] = value
    return found

"""What was seen of a target while a grant ended, added up over the attempts that it took.

Evidence is plain JSON. Lists hold what was found or done (`suspicious`, `reassigned`, `dependents`,
`blocked_by`, `memberships_removed`) and are united; counts of what was ended are summed; all else
(`observed_at`, `connections_found`, `neutralised`) is as it was seen last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUMS = frozenset({"connections_cut", "processes_ended"})
EVER = frozenset({"was_there"})
"""What is true of the whole once it was true of one attempt."""
LONGEST_LIST = 200
"""Entries of one list that are kept; whoever comes after them is counted no more."""
UNFINISHED = "unfinished_attempt"
"""Where the evidence of an attempt under way is kept, or of one whose worker died."""


def merged(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of two attempts, or of two steps of one, as one."""
    together = {**earlier, **later}
    for key in earlier.keys() & later.keys():
        before, now = earlier[key], later[key]
        if isinstance(before, list) and isinstance(now, list):
            if key != "member_of":
                new = [each for each in now if each not in before]
                together[key] = [*before, *new][:LONGEST_LIST]
        elif isinstance(before, Mapping) and isinstance(now, Mapping):
            together[key] = merged(before, now)
        elif key in SUMS and isinstance(before, int) and isinstance(now, int):
            together[key] = before + now
        elif key in EVER:
            together[key] = bool(before or now)
    # One that could not be looked at in one attempt may have been in another.
    if unseen := together.get("not_looked_in"):
        seen = together.get("looked_in", ())
        together["not_looked_in"] = {
            place: why for place, why in unseen.items() if place not in seen
        }
        if not together["not_looked_in"]:
            del together["not_looked_in"]
    return together


def with_unfinished(earlier: Mapping[str, Any], so_far: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence to keep while an attempt is under way."""
    return {**settled(earlier), UNFINISHED: dict(so_far)}


def settled(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence with that of an attempt that never came to its end added to it."""
    finished = {key: value for key, value in evidence.items() if key != UNFINISHED}
    return merged(finished, evidence.get(UNFINISHED, {}))


def findings(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of it adds up: whatever is new in it belongs into the log."""
    return {
        key: findings(value) if isinstance(value, Mapping) else value
        for key, value in evidence.items()
        if key in SUMS | EVER
        or (isinstance(value, list) and key != "member_of")
        or isinstance(value, Mapping)
    }

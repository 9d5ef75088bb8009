"""A ruling in words, for a terminal: every clause, passed or failed, with its sentence."""

from __future__ import annotations

from collections.abc import Iterator

from jit.policy import durations
from jit.policy.ruling import Clause, Ruling, StepSpec

_MARKS = {True: "ok  ", False: "FAIL", None: "?   "}


def explain(ruling: Ruling) -> str:
    """Return the ruling as lines: the outcome, what it offers, then rule by rule why."""
    return "\n".join(_lines(ruling))


def chain_in_words(chain: tuple[StepSpec, ...]) -> str:
    """Return who must agree, in order: `one of group:payments-leads, then role-owner`."""
    steps = [f"{step.quorum} of {' or '.join(step.any_of)}" for step in chain]
    return ", then ".join(steps) or "nobody need agree"


def _lines(ruling: Ruling) -> Iterator[str]:
    yield f"{ruling.outcome.value}" + (f" by rule {ruling.rule}" if ruling.rule else "")
    if ruling.outcome.admits:
        yield f"  up to {durations.text(ruling.max_duration_seconds)}"
        yield f"  {chain_in_words(ruling.chain)}"
        owed = ruling.obligations
        yield (
            f"  owes: approval {owed.approval_strength}, recording {owed.record}, "
            f"on ticket closed {owed.on_ticket_closed}"
            + (", review after" if owed.review_after else "")
        )
    for sentence in ruling.missing:
        yield f"  {sentence}"
    for error in ruling.errors:
        yield f"  error: {error}"
    if ruling.break_glass.allowed:
        longest = durations.text(ruling.break_glass.max_duration_seconds)
        yield f"  break-glass: up to {longest}, by rule {ruling.break_glass.rule}"
    yield ""
    yield from _trace(ruling.trace)
    for other in ruling.alternatives:
        longest = durations.text(other.max_duration_seconds)
        yield f"alternative {other.rule}: up to {longest}, {chain_in_words(other.chain)}"
    if ruling.shadow is not None:
        yield (
            f"shadow: would be {ruling.shadow.outcome.value}; differs in "
            f"{', '.join(ruling.shadow.differs_in)}"
        )
    yield f"bundle {ruling.bundle_digest[:12] or '(none)'}, facts {ruling.facts_digest[:12]}"


def _trace(trace: tuple[Clause, ...]) -> Iterator[str]:
    shown = None
    for clause in trace:
        if clause.rule != shown:
            shown = clause.rule
            failed = any(c.passed is False for c in trace if c.rule == shown)
            yield f"{shown} {'NO' if failed else 'yes'}"
        said = f"   {clause.message}" if clause.passed is not True and clause.message else ""
        yield f"   {_MARKS[clause.passed]} {' '.join(clause.text.split()):<60}{said}".rstrip()

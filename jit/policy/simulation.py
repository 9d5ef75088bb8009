"""What a candidate would have ruled on what was asked before; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jit.policy import engine
from jit.policy.compiled import Bundle
from jit.policy.facts import Facts
from jit.policy.ruling import Outcome, Ruling

_RANK = {Outcome.AUTO: 2, Outcome.NEEDS_APPROVAL: 1}


class Effect(StrEnum):
    GAINS = "gains"
    LOSES = "loses"
    CHANGES = "changes"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Replay:
    """One request under both policies."""

    request_id: str
    person: str
    role: str
    before: Ruling
    after: Ruling
    effect: Effect

    @property
    def told_before(self) -> str:
        return _brief(self.before)

    @property
    def told_after(self) -> str:
        return _brief(self.after)

    def __str__(self) -> str:
        return (
            f"{self.request_id}  {self.person} for {self.role}: "
            f"{self.told_before} -> {self.told_after}"
        )


@dataclass(frozen=True, slots=True)
class Simulation:
    """All that differs; `moves` counts (outcome before, outcome after), `skipped` the
    requests whose facts are not stored.
    """

    asked: int
    skipped: int
    moves: Mapping[tuple[str, str], int]
    differing: tuple[Replay, ...]


def simulate(
    *, rulings: Iterable[tuple[Any, Mapping[str, Any]]], current: Bundle, candidate: Bundle
) -> Simulation:
    """Replay stored facts through both bundles. `rulings` are pairs of a request's id and
    its ruling as it was stored.
    """
    moves: Counter[tuple[str, str]] = Counter()
    differing = []
    skipped = 0
    for request_id, stored in rulings:
        if not stored.get("facts"):
            skipped += 1
            continue
        facts = Facts.from_json(stored["facts"])
        before = engine.decide(policy=current.enforced, facts=facts)
        after = engine.decide(policy=candidate.enforced, facts=facts)
        moves[before.outcome.value, after.outcome.value] += 1
        effect = _effect(before, after)
        if effect is not Effect.SAME:
            person, role = facts["user.id"], facts["role.slug"]
            differing.append(Replay(str(request_id), person, role, before, after, effect))
    return Simulation(
        asked=moves.total(), skipped=skipped, moves=dict(moves), differing=tuple(differing)
    )


def report(simulation: Simulation) -> Iterator[str]:
    """Yield the simulation as lines: the table of moves, then who gains and who loses."""
    yield f"{simulation.asked} requests replayed" + (
        f", {simulation.skipped} without stored facts left out" if simulation.skipped else ""
    )
    for (before, after), count in sorted(simulation.moves.items()):
        yield f"  {before:>14} -> {after:<14} {count:>7}{'' if before == after else '  *'}"
    for effect in (Effect.GAINS, Effect.LOSES, Effect.CHANGES):
        replays = [replay for replay in simulation.differing if replay.effect is effect]
        if replays:
            yield f"{effect.value} ({len(replays)}):"
            yield from (f"  {replay}" for replay in replays)
    if not simulation.differing:
        yield "nobody gains and nobody loses"


def _effect(before: Ruling, after: Ruling) -> Effect:
    ranks = (_RANK.get(before.outcome, 0), _RANK.get(after.outcome, 0))
    if ranks[0] != ranks[1]:
        return Effect.GAINS if ranks[1] > ranks[0] else Effect.LOSES
    asked = [
        (r.outcome, r.max_duration_seconds, r.chain, r.obligations, r.break_glass.allowed)
        for r in (before, after)
    ]
    return Effect.SAME if asked[0] == asked[1] else Effect.CHANGES


def _brief(ruling: Ruling) -> str:
    if not ruling.outcome.admits:
        return ruling.outcome.value
    return f"{ruling.outcome.value} ({ruling.max_duration_seconds} s, {len(ruling.chain)} steps)"

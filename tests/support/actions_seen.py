"""Which audit actions and which moves of the machines the tests produced: over a whole run, all.

Each process of the run notes its own; the first one gathers them and judges at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from jit.audit import append
from jit.audit.actions import ACTIONS
from jit.audit.events import Event
from jit.ops import state_tables

type Move = tuple[str, str | None, str | None]
"""An action, and the states it led from and to, if it moved anything."""

OF_A_LOG = """
SELECT DISTINCT action, body ->> 'from', body ->> 'to' FROM (
    SELECT action, convert_from(body, 'UTF8')::json -> 'body' AS body FROM audit_event
) AS event
"""
seen: set[Move] = set()


@contextmanager
def recorded() -> Iterator[None]:
    """Note every event that anything in this process appends meanwhile."""
    original = append.append

    def noting(events: Sequence[Event]) -> None:
        for event in events:
            body = json.loads(event.body)["body"] if b'"to":' in event.body else {}
            note([(str(event.columns["action"]), body.get("from"), body.get("to"))])
        original(events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(append, "append", noting)
        yield


def note(moves: Iterable[Sequence[Any]]) -> None:
    """Add what another process saw, or what a log holds (the rows of OF_A_LOG)."""
    for action, *ends in moves:
        source, target = (end if isinstance(end, str) else None for end in ends)
        seen.add((action, source, target))


def missing() -> list[str]:
    """Return, by name, the listed actions and the moves of machines that nothing produced."""
    produced = {action for action, _, _ in seen}
    found = [str(action) for action in set(ACTIONS) - produced]
    for machine in state_tables.machines():
        for (source, verb), target in machine.moves.items():
            action = machine.action(verb)
            if action in produced and (action, source.value, target.value) not in seen:
                found.append(f"{action} from {source.value} to {target.value}")
    return sorted(found)

"""Which audit actions the tests of this process produced: over a whole run, all there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from jit.audit import appending
from jit.audit.actions import ACTIONS
from jit.audit.events import Event

seen: set[str] = set()


@contextmanager
def recorded() -> Iterator[None]:
    """Note the action of every event that anything appends meanwhile."""
    append = appending.append

    def noting(events: Sequence[Event]) -> None:
        seen.update(str(event.columns["action"]) for event in events)
        append(events)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(appending, "append", noting)
        yield


def missing() -> list[str]:
    """Return the listed actions that nothing produced."""
    return sorted(str(action) for action in set(ACTIONS) - seen)

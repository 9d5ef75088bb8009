"""The installation that a folder of tests shares: started for its first, gone after its last."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support import actions_seen, processes


def shared(**environment: str) -> Iterator[processes.Running]:
    """Run one for as long as a fixture lasts; what its log holds counts as produced."""
    with processes.installation(**processes.QUICK, **environment) as running:
        yield running
        actions_seen.note(running.rows(actions_seen.OF_A_LOG))

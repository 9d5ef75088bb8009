"""How the tests are dealt out when several processes share them (pytest-xdist).

What is expensive to start (an installation in processes, a browser, a Slack, a cluster of the other
version) is started in one process only: whatever needs it stays together. All else goes file by
file to whoever is free. The groups that take longest are dealt out first.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).resolve().parents[1]
TOGETHER = {
    "journeys/test_slack.py": "slack",
    "journeys": "journeys",
    "chaos": "chaos",
    "browser": "browser",
    "approvals/slack": "slack",
    "races/test_slack.py": "slack",
    "contracts": "targets",
    "jit/connectors/postgresql": "targets",
    "sessions/gateways": "gateways",
}
"""Folders and files, the narrower before the wider, and the group that they belong to."""
FIRST = ("chaos", "browser", "journeys", "slack", "gateways", "targets")


@cache
def group_of(path: Path) -> str:
    """Return the group of the tests in this file."""
    place = path.relative_to(TESTS)
    for name, group in TOGETHER.items():
        if place == Path(name) or Path(name) in place.parents:
            return group
    return place.as_posix()


class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
    """Deals out whole groups. (xdist's own groups do nothing since pytest 9.2: its issue 1386.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(TESTS.parent / nodeid.partition("::")[0])


def put_long_ones_first(items: list[pytest.Item]) -> None:
    """Order by group; among the short ones, and within a group, the order stays as it is."""
    place = {group: number for number, group in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(group_of(item.path), len(place)))

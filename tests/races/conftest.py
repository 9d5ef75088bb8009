"""Races need real commits: each test starts from the demo's world and leaves empty tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.world import World


@pytest.fixture
def world(transactional_db: None) -> Any:
    made = World()
    made.clean_target()
    return made

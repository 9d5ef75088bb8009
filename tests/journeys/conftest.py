"""Journeys start from an installation in which nobody holds or awaits anything."""

from __future__ import annotations

import pytest

from tests.support.processes import Running


@pytest.fixture
def jit(running: Running) -> Running:
    running.clear()
    return running

"""Journeys start from an installation in which nobody holds or awaits anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import installed
from tests.support.processes import Running


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    yield from installed.shared()


@pytest.fixture
def jit(running: Running) -> Running:
    running.clear()
    return running

"""The doors of the web and of programs, for tests that hold both to the same answer."""

from __future__ import annotations

import pytest

from tests.approvals.doors import Door, Program, Web
from tests.support.world import World


@pytest.fixture(params=["web", "api"])
def door(request: pytest.FixtureRequest, world: World) -> Door:
    return Web(world) if request.param == "web" else Program(world)

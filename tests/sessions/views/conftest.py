"""People who are signed in, each in a browser of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.sessions.own_store import gateway, where
from tests.support import people
from tests.support.world import World

__all__ = ["at", "gateway", "where"]


@pytest.fixture
def at(world: World) -> Callable[[str], Client]:
    """Return a browser in which the person of this name is signed in."""
    return lambda name: people.signed_in(Client(), world.user(name))

"""A real host that everything here may be tried on, and a connector to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from jit.connectors.ssh import SSH
from tests.contracts.ssh import SSHGround


@pytest.fixture(scope="package")
def standing() -> Iterator[SSHGround]:
    made = SSHGround()
    yield made
    made.close()


@pytest.fixture
def ground(standing: SSHGround) -> Iterator[SSHGround]:
    standing.reset()
    yield standing
    standing.host.trust(standing.host.user_ca)
    standing.host.allow("jit-observer", "web-operator")
    standing.reset()


@pytest.fixture
def connector(ground: SSHGround) -> Iterator[SSH]:
    with closing(ground.connector()) as made:
        assert isinstance(made, SSH)
        yield made

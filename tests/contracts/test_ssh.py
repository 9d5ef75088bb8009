"""The kit on a real sshd, run by an unprivileged account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.kit import ConnectorContract
from tests.contracts.ssh import SSHGround


@pytest.fixture(scope="module")
def standing() -> Iterator[SSHGround]:
    made = SSHGround()
    yield made
    made.close()


@pytest.fixture
def ground(standing: SSHGround) -> Iterator[SSHGround]:
    standing.reset()
    yield standing
    standing.reset()


class TestSSH(ConnectorContract):
    pass

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jit.catalog.models import Role
from tests.support import people
from tests.support.ssh_gateway import RunningGateway, Visitor, gateway_in, make_target
from tests.support.sshd import Sshd


@pytest.fixture(scope="session")
def host() -> Iterator[Sshd]:
    with Sshd() as running:
        yield running


@pytest.fixture
def operator(host: Sshd, transactional_db: None, tmp_path: Path) -> Role:
    """The role `web-1-operator` on the real sshd."""
    people.group("sre-managers")
    return make_target(host, tmp_path / "ca")


@pytest.fixture
def gateway(operator: Role, tmp_path: Path) -> Iterator[RunningGateway]:
    with gateway_in(tmp_path) as running:
        yield running


@pytest.fixture
def rita(gateway: RunningGateway) -> Iterator[Visitor]:
    visitor = Visitor(gateway, "rita")
    yield visitor
    visitor.close()

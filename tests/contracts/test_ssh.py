"""The kit on a real sshd, run by an unprivileged account; its authority's key in either place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from jit.catalog import sealed_store
from jit.connectors.base import Connector, Context
from jit.kernel import clock
from jit.kernel.actor import CLOCK
from tests.contracts.kit import ConnectorContract
from tests.contracts.ssh import SSHGround


class FromTheSealedStore(SSHGround):
    """Gives the connector no secret: it opens `db:ca` in the installation's own store."""

    def connector(
        self, context: Context | None = None, *, port: int | None = None, **changes: Any
    ) -> Connector:
        config = self.cls.config_model.parse(self.config(port=port, **changes))
        return self.cls(config, context or Context())


@pytest.fixture(scope="module")
def standing() -> Iterator[SSHGround]:
    made = SSHGround()
    yield made
    made.close()


@pytest.fixture(scope="module")
def standing_sealed() -> Iterator[FromTheSealedStore]:
    made = FromTheSealedStore()
    yield made
    made.close()


class TestSSH(ConnectorContract):
    @pytest.fixture
    def ground(self, standing: SSHGround) -> Iterator[SSHGround]:
        standing.reset()
        yield standing
        standing.reset()


class SealedGround:
    @pytest.fixture
    def ground(self, standing_sealed: FromTheSealedStore) -> Iterator[SSHGround]:
        key = SecretStr(standing_sealed.host.user_ca_key)
        sealed_store.put(name="ca", secret=key, actor=CLOCK, now=clock.now())
        standing_sealed.reset()
        yield standing_sealed
        standing_sealed.reset()


@pytest.mark.django_db(transaction=True)
class TestSSHWithItsKeyInTheSealedStore(SealedGround):
    test_gives_until_the_end_and_takes_back_with_proof = (
        ConnectorContract.test_gives_until_the_end_and_takes_back_with_proof
    )
    test_is_healthy = ConnectorContract.test_is_healthy


@pytest.mark.chaos  # The whole kit a second time: too long for every run.
@pytest.mark.django_db(transaction=True)
class TestTheWholeKitWithTheKeyInTheSealedStore(SealedGround, ConnectorContract):
    pass

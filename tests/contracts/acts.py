"""What the checks of the kit do with a connector, whatever they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from jit.connectors.base import Connector, Context, GrantSpec, Revoked
from tests.contracts.ground import Ground
from tests.contracts.proxy import Proxy


@contextmanager
def connected(ground: Ground, **context) -> Iterator[Connector]:
    with closing(ground.connector(Context(**context) if context else None)) as connector:
        yield connector


@contextmanager
def through_proxy(ground: Ground, **context) -> Iterator[tuple[Connector, Proxy]]:
    with (
        closing(ground.proxy()) as proxy,
        closing(ground.connector(Context(**context), port=proxy.port)) as connector,
    ):
        yield connector, proxy


def assert_gone(ground: Ground, connector: Connector, *specs: GrantSpec) -> list[Revoked]:
    """Revoke, let the target's own eyes confirm what the connector says, and return its proofs."""
    answers = connector.revoke(specs)
    assert len(answers) == len(specs)
    proofs = [answer for answer in answers if isinstance(answer, Revoked) and answer.absent]
    assert len(proofs) == len(specs), answers
    assert not ground.names() & {spec.external_name for spec in specs}
    return proofs

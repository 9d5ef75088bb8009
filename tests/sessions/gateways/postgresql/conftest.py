"""A gateway before PostgreSQL 18 and one before 15, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sessions.gateways.postgresql.ground import Ground, running, until


@pytest.fixture(scope="package", params=["18", "15"])
def _ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with running(request.param, tmp_path_factory.mktemp("gateway")) as ground:
        yield ground


@pytest.fixture
def ground(_ground: Ground) -> Iterator[Ground]:
    """The gateway, with a table `things` that is empty and a broker as it was."""
    with _ground.root() as root:
        root.execute("TRUNCATE things")
    target_connection = _ground.broker.target_connection
    yield _ground
    broker = _ground.broker
    for visit in broker.visits:
        if visit.live and not visit.because:  # A test that failed left its client open.
            _ground.run(visit.live.end("lost", "The test is over."))
    closed = until(lambda: all(visit.because for visit in broker.visits))
    broker.target_connection, broker.refuses, broker.breaks_at, broker.record_as = (
        target_connection,
        "",
        "",
        "required",
    )
    broker.visits.clear()
    broker.attempts.clear()
    broker.known.clear()
    broker.terminated.clear()
    assert closed

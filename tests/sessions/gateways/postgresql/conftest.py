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
    """The gateway, with a table `things` that is empty and a house as it was."""
    with _ground.root() as root:
        root.execute("TRUNCATE things")
    reach = _ground.house.reach
    yield _ground
    house = _ground.house
    for visit in house.visits:
        if visit.live and not visit.because:  # A test that failed left its client open.
            _ground.run(visit.live.end("lost", "The test is over."))
    closed = until(lambda: all(visit.because for visit in house.visits))
    house.reach, house.refuses, house.breaks_at, house.record_as = reach, "", "", "required"
    house.visits.clear()
    house.knocks.clear()
    house.known.clear()
    house.terminated.clear()
    assert closed

"""Grounds of both versions, clean before and after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jit.connectors.postgresql import PostgreSQL
from tests.contracts.postgresql import PostgreSQLGround


def _ground(version: str) -> Iterator[PostgreSQLGround]:
    made = PostgreSQLGround(version)
    made.reset()
    yield made
    made.reset()
    made.close()


@pytest.fixture
def ground18() -> Iterator[PostgreSQLGround]:
    yield from _ground("18")


@pytest.fixture
def ground15() -> Iterator[PostgreSQLGround]:
    yield from _ground("15")


@pytest.fixture(params=["18", "15"])
def ground(request) -> Iterator[PostgreSQLGround]:
    yield from _ground(request.param)


@pytest.fixture
def connector(ground) -> Iterator[PostgreSQL]:
    made = ground.connector()
    yield made
    made.close()

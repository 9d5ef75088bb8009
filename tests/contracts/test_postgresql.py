"""The kit on PostgreSQL 18 (directly) and 15 (through the definer functions)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.kit import ConnectorContract
from tests.contracts.postgresql import PostgreSQLGround


@pytest.fixture
def ground(request) -> Iterator[PostgreSQLGround]:
    made = PostgreSQLGround(request.cls.version)
    made.reset()
    yield made
    made.reset()
    made.close()


class TestPostgreSQL18(ConnectorContract):
    version = "18"


class TestPostgreSQL15(ConnectorContract):
    version = "15"

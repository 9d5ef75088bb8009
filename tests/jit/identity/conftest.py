"""Rita, and a moment to be at."""

from __future__ import annotations

import datetime as dt

import pytest

from jit.identity.models import User
from tests.jit.identity import recorded
from tests.support import people

NOW = dt.datetime(2026, 3, 2, 22, 14, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _own_events() -> None:
    recorded.begin()


@pytest.fixture
def now() -> dt.datetime:
    return NOW


@pytest.fixture
def rita(db: None, now: dt.datetime) -> User:
    return people.person("rita", "payments-sre", password=people.PASSWORD, now=now)


@pytest.fixture
def app(rita: User, now: dt.datetime) -> people.Authenticator:
    return people.enrolled(rita, now=now)

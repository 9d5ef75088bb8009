"""People and tickets for the ticket tests."""

from __future__ import annotations

import datetime as dt

import pytest

from jit.identity.models import User
from jit.kernel.actor import Actor, ActorKind, Channel

NOW = dt.datetime(2026, 3, 2, 22, 14, tzinfo=dt.UTC)


def _person(username: str, **more: object) -> User:
    return User.objects.create(
        username=username, email=f"{username}@example.com", created_at=NOW, **more
    )


@pytest.fixture
def rita(db: None) -> User:
    return _person("rita")


@pytest.fixture
def by_rita(rita: User) -> Actor:
    return Actor(kind=ActorKind.USER, id=str(rita.id), name="rita", channel=Channel.WEB)

"""A catalogue in YAML, and a connector of a test's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.conf import LazySettings

from jit.catalog import loader
from jit.catalog.models import Role, Target
from jit.connectors import registry
from jit.connectors.base import (
    Caps,
    Config,
    Connector,
    ConnectorError,
    GrantSpec,
    Health,
    Issued,
    Revoked,
    Seen,
)
from jit.connectors.secret_refs import SecretRef
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState
from jit.identity.models import Group, User
from jit.kernel.actor import Actor, ActorKind, Channel

NOW = dt.datetime(2026, 3, 2, 22, 14, tzinfo=dt.UTC)
BY_OPAL = Actor(kind=ActorKind.USER, id="opal", name="opal", channel=Channel.CLI)

CATALOGUE = """\
targets:
  - slug: orders-db
    name: Orders database
    kind: still
    team: payments
    config: {host: db.corp.example, timeout: 5}
roles:
  - slug: orders-db-reader
    target: orders-db
    name: Read orders
    risk: low
    owner: sre-managers
    max_duration: 30m
    config: {member_of: orders_ro}
    tags: {service: orders}
  - slug: orders-db-writer
    target: orders-db
    name: Write orders
    risk: medium
    owner: sre-managers
    max_duration: 7200
    config: {member_of: orders_rw}
"""


class StillConfig(Config):
    host: str
    timeout: int = 5
    password: SecretRef | None = None


class StillRole(Config):
    member_of: str


class Still(Connector):
    """A connector that never leaves the process; its health is what a test says."""

    kind = "still"
    caps = Caps(True, True, True, True)
    config_model = StillConfig
    role_model = StillRole
    changeable_while_live = frozenset({"timeout"})
    answer: ClassVar[Health] = Health(ok=True, detail="well", skew_seconds=0.1)

    def provision(self, spec: GrantSpec) -> Issued:
        raise NotImplementedError

    def extend(self, spec: GrantSpec) -> None:
        raise NotImplementedError

    def observe(self) -> list[Seen]:
        return []

    def revoke(self, specs: Sequence[GrantSpec]) -> list[Revoked | ConnectorError]:
        raise NotImplementedError

    def cut(self, spec: GrantSpec) -> int:
        return 0

    def health(self) -> Health:
        return self.answer


@pytest.fixture(autouse=True)
def _still(settings: LazySettings) -> None:
    settings.CONNECTORS = {"still": "tests.jit.catalog.conftest.Still"}
    registry._class_for.cache_clear()


@pytest.fixture
def owners(db: None) -> Group:
    return Group.objects.create(slug="sre-managers", name="SRE managers")


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., list[Path]]:
    """Return a function that writes a catalogue file, with replacements, and gives its path."""

    def write(text: str = CATALOGUE, /, **replaced: str) -> list[Path]:
        path = tmp_path / "catalogue.yaml"
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return [path]

    return write


@pytest.fixture
def loaded(owners: Group, written: Callable[..., list[Path]]) -> None:
    loader.apply(changes=loader.diff(written()), actor=BY_OPAL, now=NOW)


@pytest.fixture
def live_grant(loaded: None) -> Grant:
    """Return an active grant of rita on orders-db-writer."""
    rita = User.objects.create(username="rita", created_at=NOW)
    role = Role.objects.get(slug="orders-db-writer")
    request = ElevationRequest.objects.create(
        requester=rita,
        role=role,
        ticket_system="local",
        ticket_key="OPS-1",
        justification="stuck",
        duration_seconds=600,
        granted_seconds=600,
        state="APPROVED",
        channel="web",
        created_at=NOW,
        lapses_at=NOW + dt.timedelta(hours=1),
    )
    return Grant.objects.create(
        request=request,
        user=rita,
        role=role,
        target=role.target,
        external_name="jit_aaaa",
        state=GrantState.ACTIVE.value,
        duration_seconds=600,
        scheduled_for=NOW,
        starts_at=NOW,
        ends_at=NOW + dt.timedelta(minutes=10),
        created_at=NOW,
    )


def config_of(slug: str) -> Mapping[str, Any]:
    config: Mapping[str, Any] = Target.objects.get(slug=slug).config
    return config

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import pytest

from jit.connectors import registry
from jit.connectors.base import Connector, Context, InvalidConfig
from jit.connectors.postgresql import PostgreSQL

CONFIG = {
    "host": "db.example.org",
    "user": "elevation_service",
    "password": "env:JIT_TARGET_X",
    "allowed_roles": ["app_rw"],
}


class Fresh(PostgreSQL):
    """What a plug-in might bring."""


class Old(PostgreSQL):
    api_version = 0


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch):
    registry._class_for.cache_clear()
    monkeypatch.setattr(registry, "_instances", type(registry._instances)())
    yield
    registry._class_for.cache_clear()


@pytest.fixture
def plug_in(monkeypatch, settings):
    def offer(name: str, found: object, *, distribution: str = "jit-extra", allowed: bool = True):
        point = SimpleNamespace(
            name=name, dist=SimpleNamespace(name=distribution), load=lambda: found
        )
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point])
        settings.CONNECTOR_PLUGINS = ["Jit-Extra"] if allowed else []

    return offer


class TestConnectorFor:
    def test_makes_the_connector_of_the_settings(self):
        connector = registry.connector_for("postgresql", CONFIG)
        assert type(connector) is PostgreSQL
        assert connector.config.port == 5432

    def test_shares_one_instance_among_equal_configurations(self):
        one = registry.connector_for("postgresql", CONFIG)
        same = registry.connector_for("postgresql", dict(reversed(CONFIG.items())))
        other = registry.connector_for("postgresql", CONFIG | {"port": 5433})
        assert one is same
        assert one is not other

    def test_gives_each_caller_their_own_door_and_the_same_connections(self):
        kept = registry.connector_for("postgresql", CONFIG)
        mine = Context(timeout_seconds=3)
        connector = registry.connector_for("postgresql", CONFIG, context=mine)
        assert isinstance(connector, PostgreSQL)
        assert connector.context is mine
        assert kept.context is not mine
        assert isinstance(kept, PostgreSQL)
        assert connector.wires is kept.wires

    def test_closes_what_it_forgets(self, monkeypatch):
        closed: list[Connector] = []
        monkeypatch.setattr(registry, "_KEPT", 1)

        def close(self: PostgreSQL) -> None:
            closed.append(self)

        monkeypatch.setattr(PostgreSQL, "close", close)
        first = registry.connector_for("postgresql", CONFIG)
        registry.connector_for("postgresql", CONFIG | {"port": 1})
        assert closed == [first]

    def test_refuses_an_unknown_kind_and_names_those_there_are(self):
        with pytest.raises(registry.UnknownConnector, match=r"'mongo'.*postgresql"):
            registry.connector_for("mongo", {})

    def test_refuses_a_wrong_configuration(self):
        with pytest.raises(InvalidConfig) as refusal:
            registry.connector_for("postgresql", CONFIG | {"port": 0})
        assert list(refusal.value.fields) == ["port"]


class TestClassFor:
    def test_loads_a_plug_in_of_an_allowed_distribution(self, plug_in):
        plug_in("fresh", Fresh)
        assert registry.class_for("fresh") is Fresh
        assert registry.kinds() == ("fresh", "postgresql", "ssh")

    def test_never_loads_one_of_another_distribution(self, plug_in):
        plug_in("fresh", Fresh, allowed=False)
        assert registry.kinds() == ("postgresql", "ssh")
        with pytest.raises(registry.UnknownConnector):
            registry.class_for("fresh")

    def test_refuses_another_version_of_the_interface(self, plug_in):
        plug_in("old", Old)
        with pytest.raises(registry.UnknownConnector, match="version 0"):
            registry.class_for("old")

    def test_refuses_what_is_no_connector(self, plug_in):
        plug_in("wrong", dict)
        with pytest.raises(registry.UnknownConnector, match="is not a Connector"):
            registry.class_for("wrong")


class TestCheck:
    def test_accepts_what_works(self):
        registry.check("postgresql", CONFIG, {"member_of": "app_rw"})

    def test_refuses_a_role_that_the_target_does_not_allow(self):
        with pytest.raises(InvalidConfig, match="allowed_roles"):
            registry.check("postgresql", CONFIG, {"member_of": "payroll"})


class TestProblems:
    def test_finds_none_in_the_product(self):
        assert registry.problems() == []

    def test_reports_an_allow_listed_distribution_that_brings_nothing(self, settings):
        settings.CONNECTOR_PLUGINS = ["nowhere"]
        assert registry.problems() == [
            "JIT_CONNECTOR_PLUGINS names 'nowhere', which brings no connector"
        ]

    def test_reports_a_name_taken_twice_and_what_does_not_load(self, plug_in, settings):
        plug_in("postgresql", Fresh)
        settings.CONNECTORS = settings.CONNECTORS | {"lost": "jit.connectors.nowhere.Lost"}
        taken, lost = registry.problems()
        assert "'postgresql' has the name of a built-in one" in taken
        assert "'lost' can't be loaded" in lost

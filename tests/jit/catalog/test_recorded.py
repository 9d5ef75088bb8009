"""What policy wants recorded can't be used round the gateway: the catalogue and a check say so."""

from __future__ import annotations

from typing import Any

import pytest

from jit.catalog import loader, recorded
from jit.catalog.entries import CatalogInvalid
from jit.catalog.models import Role, Target
from jit.connectors.ssh import keys
from jit.identity.models import Group
from jit.kernel import clock
from jit.ops import database_checks
from jit.policy import queries as policy
from jit.policy.compiled import Bundle
from tests.jit.catalog.conftest import BY_OPAL, NOW
from tests.jit.policy import support

SSH = {
    "hosts": [{"name": "web-1"}],
    "ca": "file:/run/secrets/ca",
    "krl": "/srv/web.krl",
    "host_cas": [keys.public_line(keys.read_private(keys.new_private_key()))],
    "observer": {"login": "jit-observer"},
    "login": "deploy",
}
POSTGRESQL = {
    "host": "db", "user": "service", "password": "file:/run/secrets/db", "allowed_roles": ["rw"]
}  # fmt: skip


def demanding(slug: str = "orders-db-writer") -> Bundle:
    """Return a policy with a rule for this role (and one that asks for nothing before it)."""
    strict = support.rule(
        id="strict", match=f"{{role.slug: {slug}}}", who='\'"leads" in user.groups\'',
        more="      record: required\n",
    )  # fmt: skip
    return support.compiled(support.rule(), strict)


@pytest.fixture
def in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "active_bundle", demanding)


@pytest.fixture
def real_connectors(settings: Any) -> None:
    from jit import settings as ours
    from jit.connectors import registry

    settings.CONNECTORS = ours.CONNECTORS
    registry._class_for.cache_clear()


def found(kind: str, config: dict[str, Any], role: dict[str, Any]) -> str:
    return recorded.way_round(
        role={"slug": "orders-db-writer"},
        target={"slug": "orders-db", "kind": kind},
        target_config=config,
        role_config=role,
        now=NOW,
        bundle=demanding(),
    )


@pytest.mark.usefixtures("real_connectors")
class TestWayRound:
    def test_is_open_where_a_role_is_direct(self) -> None:
        said = found("ssh", SSH, {"principals": ["web"]})
        assert "policy (strict) says record: required" in said
        assert "`direct: false`" in said

    def test_is_closed_where_it_is_not(self) -> None:
        assert not found("ssh", SSH, {"principals": ["web"], "direct": False})
        assert not found("postgresql", POSTGRESQL, {"member_of": "rw", "direct": False})

    def test_of_a_database_is_its_password(self) -> None:
        said = found("postgresql", POSTGRESQL, {"member_of": "rw"})
        assert "pg_hba.conf" in said

    def test_matters_only_where_a_rule_asks_for_it(self) -> None:
        said = recorded.way_round(
            role={"slug": "orders-db-reader"},
            target={"slug": "orders-db", "kind": "ssh"},
            target_config=SSH,
            role_config={"principals": ["web"]},
            now=NOW,
            bundle=demanding(),
        )
        assert said == ""


@pytest.mark.usefixtures("owners", "in_force")
class TestTheCatalogue:
    def test_is_refused_with_what_to_do(self, written) -> None:
        """A connector that knows nothing of gateways can't promise a recording."""
        with pytest.raises(CatalogInvalid, match="let the rule say best_effort") as refused:
            loader.diff(written())
        assert set(refused.value.fields) == {"role orders-db-writer"}

    def test_takes_a_role_that_is_retired(self, written) -> None:
        files = written(**{"{member_of: orders_rw}": "{member_of: orders_rw}\n    enabled: false"})
        loader.apply(changes=loader.diff(files), actor=BY_OPAL, now=NOW)
        assert not Role.objects.get(slug="orders-db-writer").enabled


@pytest.mark.django_db
@pytest.mark.usefixtures("in_force", "real_connectors")
class TestTheCheckAtStart:
    def test_warns_of_each_role_until_it_is_closed(self) -> None:
        target = Target.objects.create(
            slug="orders-db", name="x", kind="postgresql", config=POSTGRESQL
        )
        role = Role.objects.create(
            slug="orders-db-writer", target=target, name="x", risk="low",
            owner_group=Group.objects.create(slug="o", name="o"), max_duration_seconds=60,
            config={"member_of": "rw"},
        )  # fmt: skip
        (warning,) = database_checks.check_recording(databases=["default"])
        assert (warning.id, warning.is_serious()) == ("jit.W002", False)
        assert warning.msg.startswith("Role orders-db-writer: policy (strict)")
        role.config["direct"] = False
        role.save()
        assert database_checks.check_recording(databases=["default"]) == []

    def test_asks_only_what_it_is_told_to_and_needs_no_policy(self, monkeypatch) -> None:
        assert database_checks.check_recording(databases=["owner"]) == []
        monkeypatch.undo()
        assert list(recorded.ways_round(now=clock.now())) == []

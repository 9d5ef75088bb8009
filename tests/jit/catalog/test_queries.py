"""Who sees which role and target, and what a request may name."""

from __future__ import annotations

import pytest

from jit.catalog import queries
from jit.catalog.models import Role, Target
from jit.identity.models import Group, GroupPermission, Membership, User
from jit.identity.permissions import Permission
from tests.jit.catalog.conftest import NOW

pytestmark = pytest.mark.usefixtures("loaded")


def person(username: str, group: Group | None = None, **more: object) -> User:
    user = User.objects.create(username=username, created_at=NOW, **more)
    if group:
        Membership.objects.create(user=user, group=group)
    return User.objects.get(pk=user.pk)


def slugs(rows) -> list[str]:
    return [row.slug for row in rows]


@pytest.fixture
def retired() -> Role:
    Role.objects.filter(slug="orders-db-writer").update(enabled=False)
    return Role.objects.get(slug="orders-db-writer")


class TestRequestableRole:
    def test_returns_the_role(self) -> None:
        assert queries.requestable_role("orders-db-reader").target.slug == "orders-db"

    @pytest.mark.parametrize("slug", ["", "nonsense", "orders-db-reader\x00", "x" * 100_000])
    def test_refuses_what_is_not_there_with_422(self, slug) -> None:
        with pytest.raises(queries.UnknownRole) as refused:
            queries.requestable_role(slug)
        assert refused.value.status == 422
        assert "role" in refused.value.fields

    def test_refuses_a_retired_role(self, retired) -> None:
        with pytest.raises(queries.UnknownRole):
            queries.requestable_role(retired.slug)

    def test_refuses_the_role_of_a_retired_target(self) -> None:
        Target.objects.update(enabled=False)
        with pytest.raises(queries.UnknownRole):
            queries.requestable_role("orders-db-reader")


class TestRolesVisibleTo:
    def test_rita_sees_what_can_be_asked_for(self, retired) -> None:
        rita = person("rita")
        assert slugs(queries.roles_visible_to(rita)) == ["orders-db-reader"]
        with pytest.raises(queries.RoleNotFound) as refused:
            queries.role_visible_to(rita, retired.slug)
        assert refused.value.status == 404

    def test_olga_sees_her_retired_roles_too(self, retired, owners) -> None:
        olga = person("olga", owners)
        assert queries.role_visible_to(olga, retired.slug) == retired
        assert len(queries.roles_visible_to(olga)) == 2

    def test_opal_sees_the_whole_catalogue(self, retired) -> None:
        operators = Group.objects.create(slug="operators", name="Operators")
        GroupPermission.objects.create(group=operators, permission=Permission.CATALOG_READ_ALL)
        assert len(queries.roles_visible_to(person("opal", operators))) == 2

    def test_somebody_disabled_sees_nothing(self) -> None:
        gone = person("gone", is_active=False, disabled_at=NOW)
        assert not queries.roles_visible_to(gone)
        assert not queries.targets_visible_to(gone)


class TestFilterRoles:
    @pytest.mark.parametrize(
        ("asked", "found"),
        [
            ({"q": "read orders"}, ["orders-db-reader"]),
            ({"q": "READ"}, ["orders-db-reader"]),
            ({"q": "payments writer"}, ["orders-db-writer"]),
            ({"q": "nothing\x00"}, []),
            ({"target": "orders-db"}, ["orders-db-reader", "orders-db-writer"]),
            ({"target": "elsewhere"}, []),
            ({"risk": "low"}, ["orders-db-reader"]),
            ({"env": "prod", "q": "%"}, []),
        ],
    )
    def test_finds(self, asked, found) -> None:
        assert slugs(queries.filter_roles(queries.roles(), **asked)) == found


class TestTargetsVisibleTo:
    def test_an_owner_sees_a_retired_target_once(self, owners) -> None:
        Target.objects.update(enabled=False)
        assert slugs(queries.targets_visible_to(person("olga", owners))) == ["orders-db"]
        with pytest.raises(queries.TargetNotFound):
            queries.target_visible_to(person("rita"), "orders-db")

    def test_everybody_sees_the_others(self) -> None:
        assert queries.target_visible_to(person("rita"), "orders-db").kind == "still"


class TestTargetsToLookAt:
    def test_are_the_enabled_ones(self) -> None:
        assert len(queries.targets_to_look_at()) == 1
        Target.objects.update(enabled=False)
        assert queries.targets_to_look_at() == []

    def test_and_those_that_hold_something_of_ours(self, live_grant) -> None:
        Target.objects.update(enabled=False)
        assert queries.targets_to_look_at() == [live_grant.target_id]
        type(live_grant).objects.update(
            state="ENDED", revocation_verified_at=NOW, end_reason="expired"
        )
        assert queries.targets_to_look_at() == []

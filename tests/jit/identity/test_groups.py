from __future__ import annotations

import pytest

from jit.identity import operations, permissions, queries
from jit.identity.models import User
from jit.identity.operations.groups import GroupExists
from jit.identity.permissions import EVERYBODY, Permission, Scope
from jit.kernel.errors import InvalidInput, NotFound
from tests.jit.identity.recorded import events
from tests.support import people


@pytest.fixture
def udo(db, now):
    people.group("auditors", Permission.AUDIT_READ, Permission.AUDIT_EXPORT)
    return people.person("udo", "auditors", now=now)


class TestCreateGroup:
    @pytest.mark.parametrize("slug", ["", "Payments", "a b", "group:x"])
    def test_refuses_a_slug_that_needs_quoting(self, db, now, slug):
        with pytest.raises(InvalidInput):
            operations.create_group(slug=slug, name="", actor=people.INSTALLER, now=now)

    def test_refuses_one_that_exists(self, db, now):
        people.group("auditors")
        with pytest.raises(GroupExists):
            operations.create_group(slug="auditors", name="", actor=people.INSTALLER, now=now)


class TestAddMember:
    def test_says_whether_it_was_new(self, rita, now):
        group = people.group("payments-leads")
        ask = {"group": group, "user": rita, "actor": people.INSTALLER, "now": now}
        assert queries.groups_of(rita) == {"payments-sre"}
        assert operations.add_member(**ask)
        assert not operations.add_member(**ask)
        assert queries.groups_of(rita) == {"payments-sre", "payments-leads"}
        assert len(events("group.member-added")) == 2  # payments-sre by the fixture


class TestRemoveMember:
    def test_takes_what_the_group_gave(self, udo, now):
        assert permissions.has(udo, Permission.AUDIT_READ)
        group = people.group("auditors")
        assert operations.remove_member(group=group, user=udo, actor=people.INSTALLER, now=now)
        assert not operations.remove_member(group=group, user=udo, actor=people.INSTALLER, now=now)
        assert not permissions.has(udo, Permission.AUDIT_READ)
        assert len(events("group.member-removed")) == 1


class TestGivePermission:
    def test_refuses_one_outside_the_closed_list(self, db, now):
        with pytest.raises(operations.UnknownPermission):
            operations.give_permission(
                group=people.group("g"), permission="root", actor=people.INSTALLER, now=now
            )

    def test_is_undone_by_take_permission(self, udo, now):
        group = people.group("auditors")
        ask = {"permission": Permission.AUDIT_EXPORT, "actor": people.INSTALLER, "now": now}
        assert not operations.give_permission(group=group, **ask)
        assert operations.take_permission(group=group, **ask)
        assert not operations.take_permission(group=group, **ask)
        assert not permissions.has(queries.person(udo.pk), Permission.AUDIT_EXPORT)


class TestHas:
    def test_gives_everybody_active_the_right_to_ask(self, db, now):
        otto = people.person("otto", now=now)
        assert otto.permissions == EVERYBODY

    def test_gives_a_disabled_person_nothing(self, udo, now):
        operations.disable_user(user=udo, actor=people.INSTALLER, now=now)
        assert udo.permissions == frozenset()

    def test_gives_nobody_nothing(self):
        from django.contrib.auth.models import AnonymousUser

        assert not permissions.has(AnonymousUser(), Permission.REQUEST_CREATE)

    def test_is_narrowed_by_the_token(self, udo):
        udo.token_scopes = frozenset({Scope.READ})
        assert not permissions.has(udo, Permission.AUDIT_READ)
        udo.token_scopes = frozenset({Scope.AUDIT})
        assert permissions.has(udo, Permission.AUDIT_READ)
        assert not permissions.has(udo, Permission.REQUEST_CREATE)

    def test_asks_the_database_once_for_groups_and_permissions(
        self, udo, django_assert_num_queries
    ):
        fresh = User.objects.get(pk=udo.pk)
        with django_assert_num_queries(1):
            for permission in Permission:
                permissions.has(fresh, permission)
            queries.groups_of(fresh)


class TestVisibleTo:
    def test_shows_disabled_people_only_to_who_may_see_them(self, rita, udo, now):
        otto = people.person("otto", now=now)
        operations.disable_user(user=otto, actor=people.INSTALLER, now=now)
        assert set(queries.visible_to(rita)) == {rita, udo}
        assert set(queries.visible_to(udo)) == {rita, udo, otto}
        assert not queries.visible_to(otto).exists()
        assert queries.find_visible(rita, "udo") == udo
        for name in ("otto", "nobody", "\0"):
            with pytest.raises(NotFound):
                queries.find_visible(rita, name)


class TestMembers:
    def test_are_each_named_once(self, rita, now):
        ada = people.person("ada", "payments-leads", "sre-managers", now=now)
        wanted = frozenset({"payments-leads", "sre-managers"})
        assert list(queries.members_of_any(wanted)) == [ada]
        assert not queries.members_of("no-such-group").exists()

    def test_holders_of_a_permission(self, rita, udo):
        assert list(queries.holders_of(Permission.AUDIT_READ)) == [udo]


class TestUserByEmail:
    def test_finds_nobody_when_two_share_it(self, db, now):
        ada = people.person("ada", email="ada@example.com", now=now)
        assert queries.user_by_email("ADA@example.com") == ada
        people.person("ada-admin", email="ada@example.com", same_person_as=ada, now=now)
        assert queries.user_by_email("ada@example.com") is None
        assert queries.user_by_email("") is None


class TestFactsOf:
    def test_names_groups_and_manager(self, db, now):
        olga = people.person("olga", now=now)
        rita = people.person(
            "rita", "payments-sre", manager=olga, attributes={"team": "payments"}, now=now
        )
        assert queries.facts_of(rita) == {
            "id": "rita",
            "groups": ["payments-sre"],
            "manager": "olga",
            "email": "",
            "attributes": {"team": "payments"},
        }

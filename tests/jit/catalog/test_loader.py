"""Reading, diffing and applying the catalogue."""

from __future__ import annotations

import pytest
from django.db import connection
from pydantic import SecretStr

from jit.catalog import loader, sealed_store
from jit.catalog.entries import CatalogInvalid
from jit.catalog.models import Role, Target
from jit.catalog.operations import CatalogMovedMeanwhile, CatalogRefused
from jit.identity.models import Group
from tests.jit.catalog.conftest import BY_OPAL, NOW, config_of


def short(changes) -> list[tuple[str, str]]:
    return [(change.verb, change.slug) for change in changes]


def apply(paths, **options) -> None:
    loader.apply(changes=loader.diff(paths, **options), actor=BY_OPAL, now=NOW)


def actions() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT action FROM audit_event ORDER BY seq")
        return [action for (action,) in cursor.fetchall()]


@pytest.mark.usefixtures("owners")
class TestRead:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("owner: sre-managers", "owner: nobody", "group nobody"),
            ("target: orders-db\n", "target: elsewhere\n", "elsewhere is in none"),
            ("kind: still", "kind: unheard-of", "unheard-of"),
            ("host: db.corp.example", "hosts: db.corp.example", "hosts"),
            ("member_of: orders_ro", "members: orders_ro", "members"),
            ("slug: orders-db-writer", "slug: orders-db-reader", "twice"),
            ("risk: low", "risk: odd", "risk"),
        ],
    )
    def test_says_what_is_wrong_and_where(self, written, old, new, said) -> None:
        with pytest.raises(CatalogInvalid, match=said) as refused:
            loader.read(written(**{old: new}))
        assert refused.value.fields

    def test_says_everything_at_once(self, written) -> None:
        with pytest.raises(CatalogInvalid) as refused:
            loader.read(written(**{"member_of: orders_ro": "a: b", "member_of: orders_rw": "c: d"}))
        assert set(refused.value.fields) == {"role orders-db-reader", "role orders-db-writer"}

    def test_wants_a_sealed_secret_set_before_a_target_refers_to_it(self, written) -> None:
        files = written(**{"timeout: 5": "password: db:orders"})
        with pytest.raises(CatalogInvalid, match="secret_set orders"):
            loader.read(files)
        sealed_store.put(name="orders", secret=SecretStr("hunter2"), actor=BY_OPAL, now=NOW)
        assert loader.read(files)

    def test_never_repeats_a_secret_in_the_wrong_place(self, written) -> None:
        with pytest.raises(CatalogInvalid) as refused:
            loader.read(written(**{"timeout: 5": "timeout: hunter2"}))
        assert "hunter2" not in str(refused.value.fields) + refused.value.detail


@pytest.mark.usefixtures("owners")
class TestDiff:
    def test_of_an_empty_catalogue_creates_targets_first(self, written) -> None:
        assert short(loader.diff(written())) == [
            ("create", "orders-db"),
            ("create", "orders-db-reader"),
            ("create", "orders-db-writer"),
        ]

    @pytest.mark.usefixtures("loaded")
    def test_of_the_same_is_nothing(self, written) -> None:
        assert loader.diff(written()) == []
        assert loader.told([]) == "The catalogue is as the files say."

    @pytest.mark.usefixtures("loaded")
    def test_names_the_fields_that_differ(self, written) -> None:
        (change,) = loader.diff(written(**{"7200": "1h"}))
        assert (change.verb, change.before, change.after) == (
            "change",
            {"max_duration": 7200},
            {"max_duration": 3600},
        )
        assert "max_duration: 7200 → 3600" in loader.told([change])

    @pytest.mark.usefixtures("loaded")
    def test_retires_what_stands_in_no_file(self, written) -> None:
        only_target = written().pop().read_text().split("roles:")[0]
        changes = loader.diff(written(only_target))
        assert short(changes) == [("retire", "orders-db-reader"), ("retire", "orders-db-writer")]

    @pytest.mark.usefixtures("loaded")
    def test_partial_leaves_the_others_alone(self, written) -> None:
        only_target = written().pop().read_text().split("roles:")[0]
        assert loader.diff(written(only_target), partial=True) == []

    @pytest.mark.usefixtures("loaded")
    def test_retires_roles_before_their_target(self, written) -> None:
        assert short(loader.diff(written("targets: []\n"))) == [
            ("retire", "orders-db-reader"),
            ("retire", "orders-db-writer"),
            ("retire", "orders-db"),
        ]


@pytest.mark.usefixtures("loaded")
class TestApply:
    def test_writes_the_rows_and_their_events(self) -> None:
        role = Role.objects.get(slug="orders-db-reader")
        assert (role.target.slug, role.owner_group.slug) == ("orders-db", "sre-managers")
        assert (role.max_duration_seconds, role.tags) == (1800, {"service": "orders"})
        assert config_of("orders-db") == {"host": "db.corp.example", "timeout": 5}
        assert actions() == [
            "catalog.target-created",
            "catalog.role-created",
            "catalog.role-created",
            "catalog.synced",
        ]

    def test_twice_writes_nothing_the_second_time(self, written) -> None:
        apply(written())
        assert len(actions()) == 4

    def test_retires_and_revives(self, written) -> None:
        apply(written("targets: []\n"))
        assert not Target.objects.get(slug="orders-db").enabled
        assert not Role.objects.filter(enabled=True).exists()
        apply(written())
        assert Role.objects.filter(enabled=True).count() == 2
        assert "catalog.role-retired" in actions()
        assert "catalog.target-retired" in actions()
        assert "catalog.target-changed" in actions()

    def test_changes_owner_and_target(self, written) -> None:
        Group.objects.create(slug="dba", name="DBA")
        text = written().pop().read_text()
        second = text.split("roles:")[0].replace("orders-db", "new-db").removeprefix("targets:\n")
        moved = text.replace("roles:", second + "roles:").replace(
            "target: orders-db", "target: new-db"
        )
        apply(written(moved.replace("owner: sre-managers", "owner: dba")))
        role = Role.objects.get(slug="orders-db-writer")
        assert (role.target.slug, role.owner_group.slug) == ("new-db", "dba")

    def test_refuses_a_diff_that_is_no_longer_true(self, written) -> None:
        changes = loader.diff(written(**{"7200": "1h"}))
        Role.objects.filter(slug="orders-db-writer").update(max_duration_seconds=900)
        with pytest.raises(CatalogMovedMeanwhile):
            loader.apply(changes=changes, actor=BY_OPAL, now=NOW)
        assert Role.objects.get(slug="orders-db-writer").max_duration_seconds == 900

    def test_refuses_to_create_what_somebody_else_created(self, written) -> None:
        text = written().pop().read_text().replace("orders-db-writer", "orders-db-admin")
        changes = loader.diff(written(text), partial=True)
        apply(written(text), partial=True)
        with pytest.raises(CatalogMovedMeanwhile):
            loader.apply(changes=changes, actor=BY_OPAL, now=NOW)

    def test_one_refusal_and_nothing_is_written(self, written, live_grant) -> None:
        changes = loader.diff(written("targets: []\n"))
        with pytest.raises(CatalogRefused):
            loader.apply(changes=changes, actor=BY_OPAL, now=NOW)
        assert Role.objects.filter(enabled=True).count() == 2


@pytest.mark.usefixtures("live_grant")
class TestApplyWithALiveGrant:
    @pytest.mark.parametrize(
        ("old", "new", "refused"),
        [
            ("host: db.corp.example", "host: elsewhere.example", "orders-db"),
            ("team: payments", "team: payments\n    enabled: false", "orders-db"),
            ("member_of: orders_rw", "member_of: orders_all", "orders-db-writer"),
            ("max_duration: 7200", "max_duration: 7200\n    enabled: false", "orders-db-writer"),
        ],
    )
    def test_keeps_what_the_revocation_needs(self, written, old, new, refused) -> None:
        (change,) = loader.diff(written(**{old: new}))
        assert change.slug == refused
        assert "Revoke them" in change.refused
        assert "! refused" in loader.told([change])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("timeout: 5", "timeout: 9"),
            ("max_duration: 7200", "max_duration: 60"),
            ("name: Write orders", "name: Change orders"),
            ("risk: medium", "risk: high"),
            ("member_of: orders_ro", "member_of: orders_less"),
        ],
    )
    def test_allows_what_it_does_not_need(self, written, old, new) -> None:
        paths = written(**{old: new})
        assert len(loader.diff(paths)) == 1
        apply(paths)
        assert loader.diff(paths) == []

    def test_the_end_of_the_grant_frees_it(self, written, live_grant) -> None:
        type(live_grant).objects.update(
            state="ENDED", revocation_verified_at=NOW, end_reason="expired"
        )
        apply(written("targets: []\n"))
        assert not Role.objects.filter(enabled=True).exists()

    def test_a_grant_made_after_the_diff_is_seen(self, written, live_grant) -> None:
        type(live_grant).objects.update(state="WITHDRAWN")
        changes = loader.diff(written("targets: []\n"))
        assert not any(change.refused for change in changes)
        type(live_grant).objects.update(state="REVOKING")
        with pytest.raises(CatalogRefused, match="orders-db-writer has live grants"):
            loader.apply(changes=changes, actor=BY_OPAL, now=NOW)

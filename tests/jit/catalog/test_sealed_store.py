"""Secrets of targets at rest: sealed for their row, opened by name, never told."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from jit.audit.models import AuditEvent
from jit.catalog import sealed_store
from jit.catalog.models import SealedSecret, Target
from jit.connectors.secret_refs import SecretUnavailable
from jit.kernel import clock
from jit.kernel.actor import CLOCK

pytestmark = pytest.mark.django_db


def put(name: str = "orders", secret: str = "hunter2", **more: bool) -> None:
    sealed_store.put(name=name, secret=SecretStr(secret), actor=CLOCK, now=clock.now(), **more)


def remove(name: str) -> None:
    sealed_store.remove(name=name, actor=CLOCK, now=clock.now())


def target() -> Target:
    config = {"host": "db", "password": "db:orders"}
    return Target.objects.create(slug="orders-db", name="Orders", kind="still", config=config)


class TestPut:
    def test_seals_what_only_its_name_opens(self) -> None:
        put()
        assert sealed_store.opened("orders").get_secret_value() == "hunter2"
        assert b"hunter2" not in bytes(SealedSecret.objects.get().sealed)

    def test_is_on_the_record_without_the_secret(self) -> None:
        target()
        put()
        event = AuditEvent.objects.get(action="secret.stored")
        assert event.content["body"] == {"targets": ["orders-db"]}
        assert b"hunter2" not in bytes(event.body)

    def test_replaces_nothing_without_being_told(self) -> None:
        put()
        with pytest.raises(sealed_store.SecretExists, match="--replace"):
            put(secret="other")
        assert sealed_store.opened("orders").get_secret_value() == "hunter2"
        put(secret="other", replace=True)
        assert sealed_store.opened("orders").get_secret_value() == "other"
        assert AuditEvent.objects.filter(action="secret.replaced").count() == 1

    def test_has_nothing_to_replace_where_a_name_is_mistyped(self) -> None:
        with pytest.raises(sealed_store.UnknownSecret, match="no secret order to replace"):
            put("order", replace=True)

    @pytest.mark.parametrize(
        ("name", "secret"),
        [("Orders", "x"), ("", "x"), ("a/b", "x"), ("a", ""), ("a", "x" * 9000), ("a", "x\0")],
    )
    def test_refuses_what_can_be_no_secret(self, name: str, secret: str) -> None:
        with pytest.raises(sealed_store.UnfitSecret):
            put(name, secret)


class TestOpened:
    def test_says_what_to_do_where_there_is_none(self) -> None:
        with pytest.raises(SecretUnavailable, match=r"manage\.py secret_set orders"):
            sealed_store.opened("orders")

    def test_a_value_moved_to_another_row_does_not_open(self) -> None:
        """Who writes rows can't hand one target the secret of another."""
        put("orders")
        put("payroll", "s3cret")
        moved = SealedSecret.objects.get(name="payroll").sealed
        SealedSecret.objects.filter(name="orders").update(sealed=moved)
        with pytest.raises(SecretUnavailable, match="does not open") as refused:
            sealed_store.opened("orders")
        assert "s3cret" not in str(refused.value)

    def test_a_row_that_was_renamed_does_not_open(self) -> None:
        put("payroll", "s3cret")
        SealedSecret.objects.update(name="orders")
        with pytest.raises(SecretUnavailable, match="JIT_SEALING_KEY"):
            sealed_store.opened("orders")


class TestRemove:
    def test_forgets_what_no_target_needs(self) -> None:
        put()
        row = target()
        with pytest.raises(sealed_store.SecretInUse, match="orders-db would stop working"):
            remove("orders")
        Target.objects.filter(pk=row.pk).update(enabled=False)
        remove("orders")
        assert not SealedSecret.objects.exists()
        assert AuditEvent.objects.filter(action="secret.removed").count() == 1

    def test_names_what_is_not_there(self) -> None:
        with pytest.raises(sealed_store.UnknownSecret):
            remove("orders")

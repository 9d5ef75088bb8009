"""Asking targets how they are."""

from __future__ import annotations

import uuid
from unittest import mock

import pytest
from django.db import connection

from jit.catalog import tasks
from jit.catalog.models import Target
from jit.connectors.base import Check, Health
from tests.jit.catalog.conftest import Still

WELL = Health(ok=True, detail="well", skew_seconds=0.1)
ILL = Health(ok=False, detail="no answer", checks=(Check("connect", False, "refused"),))


@pytest.fixture
def target(loaded) -> Target:
    return Target.objects.get(slug="orders-db")


def changes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_event WHERE action = 'target.health-changed'")
        return cursor.fetchone()[0]


def ask(target: Target, health: Health) -> Target:
    with mock.patch.object(Still, "answer", health):
        tasks.check_health_of(str(target.pk))
    target.refresh_from_db()
    return target


class TestCheckHealth:
    def test_asks_each_target_in_a_task_of_its_own(
        self, target, django_capture_on_commit_callbacks
    ) -> None:
        with (
            mock.patch("jit.kernel.tasks._send") as send,
            django_capture_on_commit_callbacks(execute=True),
        ):
            tasks.check_health()
        assert send.call_args[0][:2] == ("jit.catalog.check_health_of", (str(target.pk),))


class TestCheckHealthOf:
    def test_keeps_the_answer(self, target) -> None:
        row = ask(target, ILL)
        assert row.health["detail"] == "no answer"
        assert row.health["checks"][0]["name"] == "connect"
        assert row.health_at is not None

    def test_going_ill_and_well_again_are_events_and_staying_so_is_none(self, target) -> None:
        seen = []
        for health in (WELL, WELL, ILL, ILL, WELL):
            ask(target, health)
            seen.append(changes())
        assert seen == [0, 0, 1, 1, 2]

    def test_ill_from_the_first_look_is_an_event(self, target) -> None:
        ask(target, ILL)
        assert changes() == 1

    def test_a_configuration_that_can_not_work_is_ill(self, target) -> None:
        Target.objects.update(config={"hosts": 1})
        tasks.check_health_of(str(target.pk))
        target.refresh_from_db()
        assert target.health["ok"] is False
        assert "host" in target.health["detail"]

    def test_a_target_that_has_gone_is_nothing_to_do(self, db) -> None:
        tasks.check_health_of(str(uuid.uuid4()))

    def test_asks_outside_a_transaction(self, target, settings) -> None:
        inside: list[int] = []

        def health(_self: Still) -> Health:
            inside.append(len(connection.savepoint_ids))
            return WELL

        before = len(connection.savepoint_ids)
        with mock.patch.object(Still, "health", health):
            tasks.check_health_of(str(target.pk))
        assert inside == [before]

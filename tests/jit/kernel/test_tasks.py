from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from celery import Celery
from django.db import transaction

from jit.celery import app
from jit.kernel import clock, tasks
from jit.ops.embedded import ground


@pytest.fixture(autouse=True)
def _broker_was_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_tried_again_at", 0.0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        app, "send_task", lambda name, **options: found.append({"name": name, **options})
    )
    return found


@pytest.mark.django_db(transaction=True)
class TestEnqueueOnCommit:
    def test_sends_only_once_committed(self, sent: list[dict[str, Any]]) -> None:
        with transaction.atomic():
            tasks.enqueue_on_commit("jit.workflow.revoke", "1")
            assert sent == []
        assert [each["name"] for each in sent] == ["jit.workflow.revoke"]

    def test_sends_nothing_that_was_rolled_back(self, sent: list[dict[str, Any]]) -> None:
        with transaction.atomic():
            tasks.enqueue_on_commit("jit.workflow.revoke", "1")
            transaction.set_rollback(True)
        assert sent == []

    def test_a_broker_that_is_down_undoes_nothing(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def down(*_args: object, **_options: object) -> None:
            raise ConnectionError("no broker")

        monkeypatch.setattr(app, "send_task", down)
        with transaction.atomic():
            tasks.enqueue_on_commit("jit.workflow.revoke", "1")
        assert "the sweep will find the work" in caplog.text

    def test_a_broker_that_failed_is_left_alone_for_a_while(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each try of one that vanished takes seconds, and an approval sends several."""
        tries: list[str] = []

        def vanished(name: str, **_options: object) -> None:
            tries.append(name)
            raise TimeoutError("no answer")

        monkeypatch.setattr(app, "send_task", vanished)
        for name in ("a", "b", "c"):
            tasks.enqueue(name)
        assert tries == ["a"]
        monkeypatch.setattr(tasks, "_tried_again_at", time.monotonic() - 0.01)
        tasks.enqueue("d")
        assert tries == ["a", "d"]

    def test_an_eta_never_expires_before_it_comes(self, sent: list[dict[str, Any]]) -> None:
        at = clock.now() + dt.timedelta(seconds=100)
        with transaction.atomic():
            tasks.enqueue_on_commit("jit.workflow.end_due", eta=at)
        assert sent[0]["eta"] == at
        assert sent[0]["expires"] is None


class TestABrokerThatWasNeverThere:
    def test_is_not_waited_for(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        fresh = Celery(broker=f"redis://127.0.0.1:{ground.free_port()}/0")
        fresh.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
        monkeypatch.setattr("jit.celery.app", fresh)
        naps: list[float] = []
        monkeypatch.setattr("kombu.utils.functional.sleep", naps.append)
        tasks.enqueue("jit.workflow.sweep")
        assert sum(naps) < 1

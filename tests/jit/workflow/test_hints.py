"""Hints leave without being waited for, and only for pages that are open."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from jit.celery import app
from jit.workflow import hints

HINT = {"type": "hint", "about": "request", "id": "7"}


class TestSend:
    def test_reaches_the_group_that_is_listened_to(self) -> None:
        async def listen() -> Any:
            layer = get_channel_layer()
            assert layer
            channel = await layer.new_channel()
            await layer.group_add("request.7", channel)
            hints._sender.send([(("request.7", "person.nobody"), HINT)])
            hints._sender.finish(5)
            heard = await layer.receive(channel)
            await layer.group_discard("request.7", channel)
            return heard

        assert async_to_sync(listen)() == HINT

    def test_asks_once_who_listens_and_sends_to_nobody_else(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        layer = get_channel_layer()
        assert layer

        async def group_send(group: str, _hint: Any) -> None:
            sent.append(group)

        monkeypatch.setattr(layer, "group_send", group_send)
        batch = [((f"request.{number}", "operators"), HINT) for number in range(1000)]
        async_to_sync(hints._send_all)(batch)
        assert sent == []

    def test_of_a_broken_layer_is_logged_and_forgotten(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: Any) -> None:
            raise OSError("the layer is gone")

        monkeypatch.setattr(hints, "_send_all", fail)
        sender = hints.Sender()
        sender.send([(("operators",), HINT)])
        sender.finish(5)
        assert "could not hint" in caplog.text


class TestAboutRequests:
    def test_a_thousand_changes_are_a_few_tasks_not_a_thousand(
        self,
        monkeypatch: pytest.MonkeyPatch,
        settings: Any,
        db: None,
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        sent: list[tuple[Any, ...]] = []
        monkeypatch.setattr(app, "send_task", lambda _name, args, **_more: sent.append(args))
        settings.REQUEST_CHANGED_TASKS = ["wing.redraw"]
        ids = [uuid.uuid4() for _ in range(1000)]
        with django_capture_on_commit_callbacks(execute=True):
            hints.about_requests((one, []) for one in ids)
        assert len(sent) == 20
        assert [one for args in sent for one in args] == [str(one) for one in ids]

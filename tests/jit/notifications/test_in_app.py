from __future__ import annotations

from typing import Any

import pytest

from jit.identity.models import User
from jit.notifications import delivering
from jit.notifications.channels import in_app
from jit.notifications.models import Notification, Outcome
from tests.jit.notifications.conftest import later, tell


class Layer:
    def __init__(self, *, down: bool = False) -> None:
        self.sent: list[str] = []
        self.down = down

    async def group_send(self, group: str, message: Any) -> None:
        if self.down:
            raise ConnectionError
        assert set(message) == {"type", "about", "id"}, "hints carry no data"
        self.sent.append(group)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> Layer:
    found = Layer()
    monkeypatch.setattr(in_app, "get_channel_layer", lambda: found)
    return found


class TestDeliver:
    def test_hints_once_to_each_person_however_much_there_is(
        self, ada: User, bo: User, layer: Layer
    ) -> None:
        for _ in range(30):
            tell(ada, bo)
        assert delivering.deliver_lane("in_app") == 60
        assert sorted(layer.sent) == sorted(f"person.{one.pk.hex}" for one in (ada, bo))
        assert not Notification.objects.filter(outcome=Outcome.WAITING).exists()

    def test_takes_few_statements_for_many(
        self, ada: User, layer: Layer, django_assert_max_num_queries: Any
    ) -> None:
        for _ in range(50):
            tell(ada)
        with django_assert_max_num_queries(15):
            delivering.deliver_lane("in_app")

    def test_a_silent_layer_delays_hints_and_loses_nothing(self, ada: User, layer: Layer) -> None:
        layer.down = True
        tell(ada)
        tell(ada)
        assert delivering.deliver_lane("in_app") == 0
        assert all(row.arrived for row in Notification.objects.all()), "they lie in the inbox"
        assert delivering.due_lanes() == [], "the lane rests"
        layer.down = False
        for row in Notification.objects.all():
            later(row, minutes=1)
        assert delivering.deliver_lane("in_app") == 2

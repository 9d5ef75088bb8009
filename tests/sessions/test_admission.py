from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import pytest

from sessions.operations import admission
from tests.sessions import used
from tests.support.world import World


@pytest.mark.django_db(transaction=True)
class TestAuthorise:
    def test_a_slow_answer_does_not_move_the_end(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The end was counted from when the answer had come: sessions outlived their grant by
        as long as a busy database took."""
        grant = world.grant()
        assert grant.ends_at is not None
        told_at, clock = grant.ends_at - dt.timedelta(seconds=90), [1000.0]

        def slow() -> dt.datetime:
            clock[0] += 5
            return told_at

        monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr(admission, "db", SimpleNamespace(now=slow))
        caller = used.caller(grant)
        admitted = admission.authorise(
            wanted=str(grant.pk), kind="postgresql", caller=caller, gateway=used.gateway()
        )
        asked_at = clock[0] - 5
        assert admitted.over_at == asked_at + 90

"""The legal hold on the playback page: who may set and lift it, who learns of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from jit.audit.models import AuditEvent
from jit.kernel import clock
from sessions.models import AccessSession
from sessions.recording import retention
from sessions.recording.models import LegalHold, Recording
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions.recording.gateway import FakeGateway
from tests.support import people

PART = {"HX-Request": "true"}
At = Callable[[str], Client]


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    made = gateway.record(b"evidence\r\n")
    gateway.move()
    return made


def post(client: Client, session: AccessSession, what: str, reason: str) -> Any:
    return client.post(f"/sessions/{session.pk}/{what}/", {"reason": reason}, headers=PART)


class TestHold:
    def test_keeps_the_recording_and_shows_who_and_why(
        self, at: At, session: AccessSession, where: FileSystem
    ) -> None:
        shown = post(at("udo"), session, "hold", "Case <7>").content.decode()
        assert "held" in shown
        assert "Case &lt;7&gt;" in shown
        page = at("udo").get(f"/sessions/{session.pk}/").content.decode()
        assert "Ask that it be lifted" in page
        Recording.objects.update(keep_until=clock.now() - dt.timedelta(days=1))
        assert retention.delete_what_is_due(where=where) == 0
        event = AuditEvent.objects.get(action="recording.held")
        assert (event.actor_name, event.content["body"]) == ("udo", {"why": "Case <7>"})

    def test_ends_when_it_is_lifted_and_stays_in_view(
        self, at: At, session: AccessSession, where: FileSystem
    ) -> None:
        post(at("udo"), session, "hold", "Case 7")
        people.person("uma", "auditors")
        shown = post(at("udo"), session, "hold/lift", "Case closed").content.decode()
        assert "udo asked" in shown
        assert "another auditor's yes" in " ".join(shown.split()).replace("&#x27;", "'")
        assert "<form" not in shown
        alone = post(at("udo"), session, "hold/lift", "again")
        assert (alone.status_code, LegalHold.objects.get().lifted_at) == (409, None)
        page = at("uma").get(f"/sessions/{session.pk}/").content.decode()
        assert "Agree and lift the hold" in page
        shown = post(at("uma"), session, "hold/lift", "I agree").content.decode()
        assert "Lifted before: 1" in shown
        assert "udo and uma" in shown
        Recording.objects.update(keep_until=clock.now() - dt.timedelta(days=1))
        assert retention.delete_what_is_due(where=where) == 1
        page = at("udo").get(f"/sessions/{session.pk}/").content.decode()
        assert "Case 7" in page
        assert "Hold the recording" not in page

    def test_wants_a_reason(self, at: At, session: AccessSession) -> None:
        answer = post(at("udo"), session, "hold", "  ")
        assert answer.status_code == 400
        assert "Say why" in answer.content.decode()
        assert not LegalHold.objects.exists()

    def test_is_not_for_the_person_nor_for_strangers(self, at: At, session: AccessSession) -> None:
        assert post(at("rita"), session, "hold", "mine").status_code == 403
        assert post(at("otto"), session, "hold", "mine").status_code == 404
        post(at("udo"), session, "hold", "Case 7")
        assert post(at("rita"), session, "hold/lift", "mine").status_code == 403

    def test_the_person_does_not_learn_of_it(self, at: At, session: AccessSession) -> None:
        post(at("udo"), session, "hold", "Case 7")
        page = at("rita").get(f"/sessions/{session.pk}/").content.decode()
        assert "Case 7" not in page
        assert "hold-title" not in page

    def test_says_that_there_is_nothing_to_hold(self, at: At, gateway: FakeGateway) -> None:
        answer = post(at("udo"), gateway.session(), "hold", "Case 7")
        assert answer.status_code == 404
        assert "nothing to hold" in answer.content.decode()

"""Legal holds through the REST interface."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jit.audit.models import AuditEvent
from sessions.models import AccessSession
from tests.sessions.recording.gateway import FakeGateway
from tests.support import people
from tests.support.world import Api, World


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    made = gateway.record(b"evidence\r\n")
    gateway.move()
    return made


def delete(api: Api, session: AccessSession, body: dict[str, str]) -> Any:
    return api.client.delete(
        f"/api/v1/sessions/{session.pk}/hold/",
        json.dumps(body),
        content_type="application/json",
        headers=api._headers(None),
    )


class TestHold:
    def test_is_set_seen_and_lifted(self, world: World, session: AccessSession) -> None:
        udo, path = world.api("udo"), f"sessions/{session.pk}/hold/"
        answer = udo.post(path, {"reason": "Case 7"})
        assert answer.status_code == 201, answer.content
        (hold,) = answer.json()
        assert (hold["reason"], hold["set_by"], hold["lifted_at"]) == ("Case 7", "udo", None)
        assert udo.post(path, {"reason": "again"}).status_code == 409
        assert udo.get(f"sessions/{session.pk}/").json()["holds"] == [hold]
        people.person("uma", "auditors")
        uma = world.api("uma")
        (asked,) = delete(udo, session, {"reason": "Case closed"}).json()
        assert (asked["release_asked_by"], asked["lifted_at"]) == ("udo", None)
        alone = delete(udo, session, {"reason": "again"})
        assert (alone.status_code, alone.json()["code"]) == (409, "SecondAuditorNeeded")
        (lifted,) = delete(uma, session, {"reason": "I agree"}).json()
        assert (lifted["lifted_by"], lifted["lifted_reason"]) == ("uma", "I agree")
        assert delete(uma, session, {"reason": "again"}).json()["code"] == "NotHeld"
        actions = ["recording.held", "recording.release-asked", "recording.released"]
        assert AuditEvent.objects.filter(action__in=actions).count() == 3

    def test_wants_a_reason_both_times(self, world: World, session: AccessSession) -> None:
        udo = world.api("udo")
        assert udo.post(f"sessions/{session.pk}/hold/", {}).status_code == 400
        assert delete(udo, session, {}).status_code == 400

    def test_is_for_auditors_and_unseen_by_the_person(
        self, world: World, session: AccessSession
    ) -> None:
        rita = world.api("rita")
        assert rita.post(f"sessions/{session.pk}/hold/", {"reason": "x"}).status_code == 403
        world.api("udo").post(f"sessions/{session.pk}/hold/", {"reason": "Case 7"})
        assert rita.get(f"sessions/{session.pk}/").json()["holds"] == []
        assert delete(rita, session, {"reason": "x"}).status_code == 403

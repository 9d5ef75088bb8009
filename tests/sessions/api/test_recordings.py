"""Recordings and transcripts through the REST interface."""

from __future__ import annotations

import json

import pytest

from jit.audit.models import AuditEvent
from sessions.models import AccessSession
from sessions.recording.models import TranscriptLine
from tests.sessions.recording.gateway import FakeGateway
from tests.support.world import World


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    """A session of rita's that showed two lines, stored."""
    made = gateway.record(b"$ whoami\r\n", b"root\r\n")
    gateway.move()
    for number, text in enumerate(("$ whoami", "root")):
        TranscriptLine.objects.create(session=made, number=number, at_ms=number * 500, text=text)
    return made


def body(answer: object) -> str:
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


class TestRecording:
    def test_comes_as_asciicast_v2_and_that_is_on_the_record(
        self, world: World, session: AccessSession
    ) -> None:
        answer = world.api("udo").get(f"sessions/{session.pk}/recording/")
        assert answer.status_code == 200
        assert f'filename="{session.pk}.cast"' in answer.headers["Content-Disposition"]
        lines = body(answer).splitlines()
        assert json.loads(lines[0])["version"] == 2
        assert [json.loads(line)[1:] for line in lines[1:]] == [
            ["o", "$ whoami\r\n"],
            ["o", "root\r\n"],
        ]
        event = AuditEvent.objects.get(action="session.downloaded")
        assert (event.actor_name, event.subject_id) == ("udo", str(session.pk))
        assert event.content["body"] == {"format": "v2"}
        assert event.grant_id == session.grant_id

    def test_comes_in_other_forms(self, world: World, session: AccessSession) -> None:
        udo = world.api("udo")
        v3 = body(udo.get(f"sessions/{session.pk}/recording/", format="v3")).splitlines()
        assert json.loads(v3[0])["version"] == 3
        text = udo.get(f"sessions/{session.pk}/recording/", format="text")
        assert body(text) == "$ whoami\r\nroot\r\n"
        assert udo.get(f"sessions/{session.pk}/recording/", format="exe").status_code == 400

    def test_is_for_its_person_and_auditors(self, world: World, session: AccessSession) -> None:
        for name, status in (("rita", 200), ("otto", 404), ("ada", 404), ("opal", 404)):
            for path in ("recording", "transcript"):
                answer = world.api(name).get(f"sessions/{session.pk}/{path}/")
                assert answer.status_code == status, (name, path)
        assert not AuditEvent.objects.filter(actor_name="otto", action__startswith="session.")

    def test_of_what_was_not_recorded_is_not_there(
        self, world: World, gateway: FakeGateway
    ) -> None:
        answer = world.api("udo").get(f"sessions/{gateway.session().pk}/recording/")
        assert (answer.status_code, answer.json()["code"]) == (404, "NoRecording")


class TestTranscript:
    def test_has_each_line_with_its_time(self, world: World, session: AccessSession) -> None:
        udo = world.api("udo")
        first = udo.get(f"sessions/{session.pk}/transcript/", limit="1").json()
        assert first["items"] == [{"number": 0, "at_ms": 0, "text": "$ whoami"}]
        rest = udo.get(f"sessions/{session.pk}/transcript/", cursor=first["next"]).json()
        assert [row["text"] for row in rest["items"]] == ["root"]
        assert rest["next"] is None
        assert AuditEvent.objects.filter(action="session.viewed").count() == 2

    def test_is_searched(self, world: World, session: AccessSession) -> None:
        udo = world.api("udo")
        found = udo.get(f"sessions/{session.pk}/transcript/", q="WHOAMI").json()
        assert [row["at_ms"] for row in found["items"]] == [0]
        assert udo.get(f"sessions/{session.pk}/transcript/", cursor="x").status_code == 404
        event = AuditEvent.objects.get(action="session.viewed")
        assert event.content["body"] == {"how": "transcript", "q": "WHOAMI"}


class TestSessionDetail:
    def test_says_how_the_recording_is(self, world: World, session: AccessSession) -> None:
        said = world.api("udo").get(f"sessions/{session.pk}/").json()
        assert said["recording"]["standing"] == "whole"
        assert said["recording"]["problems"] == []
        assert said["state"] == "SEALED"

"""Access sessions through the REST interface."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jit.audit.models import AuditEvent
from jit.kernel import clock
from sessions.models import AccessSession
from sessions.recording.models import TranscriptLine
from sessions.states import ClosedBecause
from tests.sessions.used import closed, opened
from tests.support.world import READER, WRITER, World


@pytest.fixture
def session(world: World) -> AccessSession:
    """A live session of rita's under a grant that ada approved."""
    return opened(world.grant())


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


class TestSessions:
    def test_are_seen_by_their_person_and_by_auditors(
        self, world: World, session: AccessSession
    ) -> None:
        for name, seen in (("rita", True), ("udo", True), ("otto", False), ("ada", False)):
            assert ids(world.api(name).get("sessions/")) == ([str(session.pk)] if seen else [])

    def test_are_filtered_on_the_server(self, world: World, session: AccessSession) -> None:
        udo = world.api("udo")
        hour = dt.timedelta(hours=1)
        matching = {
            "user": "rita",
            "role": WRITER,
            "target": session.target.slug,
            "ticket": session.grant.request.ticket_key,
            "approver": "ada",
            "state": "LIVE",
            "kind": "postgresql",
            "from": (clock.now() - hour).isoformat(),
            "to": (clock.now() + hour).isoformat(),
            "break_glass": "false",
        }
        other = {
            "user": "bo",
            "role": READER,
            "target": "web-1",
            "ticket": "OPS-404",
            "approver": "bo",
            "state": "CLOSED",
            "kind": "ssh",
            "from": (clock.now() + hour).isoformat(),
            "to": (clock.now() - hour).isoformat(),
            "break_glass": "true",
        }
        for name, value in matching.items():
            assert ids(udo.get("sessions/", **{name: value})) == [str(session.pk)], name
            assert ids(udo.get("sessions/", **{name: other[name]})) == [], name
        assert ids(udo.get("sessions/", **matching)) == [str(session.pk)]

    def test_say_what_cannot_be_looked_for(self, world: World) -> None:
        for query in ({"from": "yesterday"}, {"user": "\0"}, {"limit": "0"}):
            answer = world.api("udo").get("sessions/", **query)
            assert answer.status_code == 400, query
            assert answer.json()["code"] == "InvalidInput"

    def test_come_a_page_at_a_time_newest_first(self, world: World) -> None:
        grant = world.grant()
        made = [str(opened(grant).pk) for _ in range(3)][::-1]
        udo = world.api("udo")
        first = udo.get("sessions/", limit="2").json()
        assert [item["id"] for item in first["items"]] == made[:2]
        second = udo.get("sessions/", limit="2", cursor=first["next"]).json()
        assert [item["id"] for item in second["items"]] == made[2:]
        assert second["next"] is None

    def test_of_fifty_take_at_most_six_statements(self, world: World) -> None:
        grant = world.grant()
        for _ in range(50):
            opened(grant, live=False)
        for name in ("rita", "udo"):
            api = world.api(name)
            api.get("me/")
            with CaptureQueriesContext(connection) as sent:
                assert len(ids(api.get("sessions/", limit="50", approver="ada"))) == 50
            assert len([q for q in sent.captured_queries if "SAVEPOINT" not in q["sql"]]) <= 6

    def test_need_a_token(self, client: Any) -> None:
        assert client.get("/api/v1/sessions/").status_code == 401


class TestSessionDetail:
    def test_says_how_it_went(self, world: World, session: AccessSession) -> None:
        closed(session, ClosedBecause.TERMINATED, "Not what the ticket is about.")
        said = world.api("udo").get(f"sessions/{session.pk}/").json()
        assert (said["state"], said["closed_because"]) == ("CLOSED", "terminated")
        assert said["user"] == "rita"
        assert said["exit_status"] == 0
        assert said["source_address"] == "192.0.2.7"
        assert said["grant"] == str(session.grant_id)

    def test_is_not_there_for_others(self, world: World, session: AccessSession) -> None:
        for name in ("otto", "ada"):
            answer = world.api(name).get(f"sessions/{session.pk}/")
            assert answer.status_code == 404
            assert answer.json()["code"] == "UnknownSession"
        assert world.api("rita").get(f"sessions/{uuid.uuid4()}/").status_code == 404


class TestTerminate:
    def test_writes_the_wish_down(self, world: World, session: AccessSession) -> None:
        answer = world.api("udo").post(f"sessions/{session.pk}/terminate/", {"reason": "Enough."})
        assert answer.status_code == 202, answer.content
        assert answer.json()["end_asked_by"] == "udo"
        session.refresh_from_db()
        assert session.end_asked_because == "terminated"

    def test_wants_a_reason(self, world: World, session: AccessSession) -> None:
        for body, status in (({}, 400), ({"reason": ""}, 400), ({"reason": " "}, 422)):
            answer = world.api("rita").post(f"sessions/{session.pk}/terminate/", body)
            assert answer.status_code == status, body
        session.refresh_from_db()
        assert session.end_asked_at is None

    def test_is_not_for_strangers(self, world: World, session: AccessSession) -> None:
        body = {"reason": "Enough."}
        assert world.api("otto").post(f"sessions/{session.pk}/terminate/", body).status_code == 404

    def test_of_what_is_over_is_a_conflict(self, world: World, session: AccessSession) -> None:
        closed(session)
        answer = world.api("rita").post(f"sessions/{session.pk}/terminate/", {"reason": "Enough."})
        assert answer.status_code == 409
        assert answer.json()["code"] == "SessionOver"


class TestSearch:
    @pytest.fixture
    def said(self, session: AccessSession) -> AccessSession:
        for number, text in enumerate(("Listing /var/log", "auth.log")):
            TranscriptLine.objects.create(
                session=session, number=number, at_ms=number * 1500, text=text
            )
        return session

    def test_finds_what_was_shown_and_is_on_the_record(
        self, world: World, said: AccessSession
    ) -> None:
        answer = world.api("udo").get("sessions/", q="AUTH.log", user="rita")
        (item,) = answer.json()["items"]
        assert item["id"] == str(said.pk)
        assert item["hits"] == [{"at_ms": 1500, "kind": "output", "tier": "", "text": "auth.log"}]
        event = AuditEvent.objects.get(action="session.searched")
        assert (event.actor_name, event.content["body"]) == ("udo", {"q": "AUTH.log", "hits": 1})

    def test_is_narrowed_by_every_filter(self, world: World, said: AccessSession) -> None:
        udo = world.api("udo")
        for other in ({"approver": "bo"}, {"ticket": "OPS-404"}, {"flagged": "true"}):
            assert ids(udo.get("sessions/", q="auth.log", **other)) == []
        assert ids(udo.get("sessions/", q="auth.log", approver="ada")) == [str(said.pk)]

    def test_finds_nothing_for_strangers(self, world: World, said: AccessSession) -> None:
        assert ids(world.api("otto").get("sessions/", q="auth.log")) == []
        assert ids(world.api("rita").get("sessions/", q="auth.log")) == [str(said.pk)]

    def test_wants_something_to_look_up(self, world: World) -> None:
        answer = world.api("udo").get("sessions/", q="--")
        assert (answer.status_code, answer.json()["code"]) == (422, "SearchTooShort")

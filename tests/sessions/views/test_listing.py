"""The list of sessions, the panels that other pages show, and ending one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from sessions.models import AccessSession
from sessions.recording.models import TranscriptLine
from sessions.states import ClosedBecause
from tests.sessions.used import closed, opened
from tests.support.world import WRITER, World

PART = {"HX-Request": "true"}
At = Callable[[str], Client]


@pytest.fixture
def session(world: World) -> AccessSession:
    return opened(world.grant())


class TestListing:
    def test_shows_live_ones_apart(self, world: World, at: At, session: AccessSession) -> None:
        other = closed(opened(session.grant), ClosedBecause.LOST)
        answer = at("udo").get("/sessions/")
        assert answer.context["live"] == [session]
        assert answer.context["rows"] == [other]
        text = answer.content.decode()
        assert "Live now (1)" in text
        assert "its line was lost" in text
        assert "Terminate" in text

    def test_shows_ones_own_and_nothing_to_strangers(
        self, world: World, at: At, session: AccessSession
    ) -> None:
        assert at("rita").get("/sessions/").context["live"] == [session]
        for name in ("otto", "ada", "bo"):
            answer = at(name).get("/sessions/")
            assert answer.status_code == 200
            assert not answer.context["live"]

    def test_is_narrowed_by_the_address(self, world: World, at: At, session: AccessSession) -> None:
        udo = at("udo")
        for query, found in (
            ({"user": "rita", "approver": "ada", "role": WRITER}, True),
            ({"user": "bo"}, False),
            ({"break_glass": "yes"}, False),
            ({"break_glass": "no"}, True),
            ({"since": "2020-01-01"}, True),
            ({"until": "2020-01-01"}, False),
            ({"ticket": "OPS-1\0"}, None),
        ):
            answer = udo.get("/sessions/", query, headers=PART)
            assert answer.status_code == 200
            if found is not None:
                assert bool(answer.context["live"]) is found, query

    def test_refuses_what_is_no_day(self, world: World, at: At) -> None:
        answer = at("udo").get("/sessions/", {"since": "soon"}, headers=PART)
        assert (answer.status_code, answer.headers["JIT-Problem"]) == (400, "InvalidInput")


class TestOne:
    def test_is_for_its_person_and_auditors(
        self, world: World, at: At, session: AccessSession
    ) -> None:
        for name, status in (("rita", 200), ("udo", 200), ("otto", 404), ("ada", 404)):
            for path in ("", "head/"):
                answer = at(name).get(f"/sessions/{session.pk}/{path}")
                assert answer.status_code == status, (name, path)


class TestTerminate:
    def test_asks_for_the_end_with_a_reason(
        self, world: World, at: At, session: AccessSession
    ) -> None:
        path = f"/sessions/{session.pk}/terminate/"
        assert at("udo").post(path, {"reason": " "}, headers=PART).status_code == 400
        answer = at("udo").post(path, {"reason": "Enough."}, headers=PART)
        assert "Being ended: udo" in answer.content.decode()
        session.refresh_from_db()
        assert (session.end_asked_because, session.end_asked_comment) == ("terminated", "Enough.")

    def test_is_not_for_strangers(self, world: World, at: At, session: AccessSession) -> None:
        answer = at("otto").post(f"/sessions/{session.pk}/terminate/", {"reason": "x"})
        assert answer.status_code == 404
        session.refresh_from_db()
        assert session.end_asked_at is None


class TestOfRequest:
    def test_is_on_the_requests_timeline(
        self, world: World, at: At, session: AccessSession
    ) -> None:
        request = session.grant.request_id
        assert (
            f"/requests/{request}/sessions/"
            in at("rita").get(f"/requests/{request}/").content.decode()
        )
        for name, seen in (("rita", True), ("udo", True), ("ada", False)):
            shown = at(name).get(f"/requests/{request}/sessions/", headers=PART).content.decode()
            assert (f"/sessions/{session.pk}/" in shown) is seen, name
        assert at("otto").get(f"/requests/{request}/sessions/", headers=PART).status_code == 404


class TestOfGrant:
    def test_shows_what_is_open(self, world: World, at: At, session: AccessSession) -> None:
        path = f"/grants/{session.grant_id}/sessions/"
        assert path in at("rita").get("/").content.decode()
        assert f"/sessions/{session.pk}/" in at("rita").get(path, headers=PART).content.decode()
        closed(session)
        assert f"/sessions/{session.pk}/" not in at("rita").get(path, headers=PART).content.decode()
        assert at("otto").get(path, headers=PART).status_code == 404


class TestFound:
    def test_jumps_to_the_second_and_marks_the_words(
        self, world: World, at: At, session: AccessSession
    ) -> None:
        TranscriptLine.objects.create(session=session, number=0, at_ms=2500, text="rm <all> now")
        answer = at("udo").get("/sessions/", {"q": "<ALL> n", "user": "rita"})
        text = answer.content.decode()
        assert f"/sessions/{session.pk}/?t=2.500&amp;q=%3CALL%3E%20n" in text
        assert "<mark>&lt;all&gt; n</mark>" in text
        assert not at("otto").get("/sessions/", {"q": "<all> n"}).context["found"]

    def test_keeps_the_form_where_it_is_refused(self, world: World, at: At) -> None:
        answer = at("udo").get("/sessions/", {"q": "!!"})
        assert answer.status_code == 422
        assert "three letters" in answer.content.decode()
        assert 'value="!!"' in answer.content.decode()

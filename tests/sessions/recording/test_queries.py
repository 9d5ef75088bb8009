"""Search: who sees what, what is found, and what can't be."""

from __future__ import annotations

from typing import Any

import pytest

from sessions.recording import queries
from sessions.recording.models import Command, Tier, TranscriptLine
from sessions.recording.queries import Filters
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions import used
from tests.sessions.recording.gateway import FakeGateway

pytestmark = pytest.mark.django_db


@pytest.fixture
def session(world: Any) -> Any:
    """rita's session, with three lines and two commands."""
    made = used.opened(world.grant())
    for number, text in enumerate(
        ["Listing /var/log", "auth.log  100%_done", "psql://a:hunter2@db"]
    ):
        TranscriptLine.objects.create(session=made, number=number, at_ms=number * 1500, text=text)
    Command.objects.create(
        session=made, number=0, at_ms=10, tier=Tier.TYPED, kind="command", text="ls /var/log"
    )
    Command.objects.create(
        session=made, number=1, at_ms=20, tier=Tier.EXACT, kind="statement",
        text="ALTER ROLE x PASSWORD 'hunter2'", detail={"note": "PASSWORD 'hunter2'"},
    )  # fmt: skip
    return made


class TestSearch:
    def test_finds_part_of_a_line_whatever_its_case(self, session: Any, world: Any) -> None:
        (hit,) = queries.search(world.user("udo"), "LISTING /V")
        assert (hit.session, hit.at_ms, hit.text) == (session, 0, "Listing /var/log")
        assert (hit.kind, hit.tier) == ("output", "")

    def test_finds_commands_with_their_tier(self, session: Any, world: Any) -> None:
        found = queries.search(world.user("udo"), "var/log")
        assert {(hit.kind, hit.tier) for hit in found} == {("output", ""), ("command", "typed")}

    def test_takes_signs_of_patterns_literally(self, session: Any, world: Any) -> None:
        assert len(queries.search(world.user("udo"), "100%_done")) == 1
        assert queries.search(world.user("udo"), "aut%log") == []
        assert queries.search(world.user("udo"), "auth_log") == []

    def test_otto_finds_nothing_and_rita_her_own(self, session: Any, world: Any) -> None:
        assert queries.search(world.user("otto"), "listing") == []
        assert len(queries.search(world.user("rita"), "listing")) == 1

    def test_what_is_hidden_can_not_be_found(self, session: Any, world: Any) -> None:
        assert queries.search(world.user("udo"), "hunter2") == []
        (hit,) = queries.search(world.user("udo"), "psql:")
        assert "hunter2" not in hit.text

    def test_is_narrowed(self, session: Any, world: Any) -> None:
        def count(**given: Any) -> int:
            return len(queries.search(world.user("udo"), "var/log", Filters(**given)))

        assert count(kind="output") == 1
        assert count(kind="command") == 1
        assert count(kind="statement") == 0
        assert count(user="rita") == 2
        assert count(user="bo") == 0
        assert count(session_id=session.pk) == 2
        assert count(until=session.opened_at) == 0

    @pytest.mark.parametrize("walk", [0, 10, 1000])
    def test_gives_the_newest(
        self, session: Any, world: Any, monkeypatch: pytest.MonkeyPatch, walk: int
    ) -> None:
        monkeypatch.setattr(queries, "_WALK", walk)
        for number in range(3, 40):
            TranscriptLine.objects.create(
                session=session, number=number, at_ms=number, text=f"common {number}"
            )
        found = queries.search(world.user("udo"), "common", most=10)
        assert [hit.at_ms for hit in found] == list(range(39, 29, -1))
        given = Filters(session_id=session.pk)
        found = queries.search(world.user("udo"), "common", given, most=10)
        assert [hit.at_ms for hit in found] == list(range(39, 29, -1))

    @pytest.mark.parametrize(
        "text", ["a rather long text without any", "with a word 7f3a9c2e in it", "§§§ §§§ §§ abc"]
    )
    def test_finds_a_long_text_as_a_whole(self, session: Any, world: Any, text: str) -> None:
        for number, line in enumerate([f"<{text}>", text[:-1], text[1:]], start=10):
            TranscriptLine.objects.create(session=session, number=number, at_ms=number, text=line)
        assert [hit.at_ms for hit in queries.search(world.user("udo"), text)] == [10]

    def test_too_little_is_refused_with_what_to_do(self, session: Any, world: Any) -> None:
        with pytest.raises(queries.SearchTooShort, match="three letters"):
            queries.search(world.user("udo"), " %% ")

    def test_takes_too_long_is_said(
        self, session: Any, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            queries, "_WALKED", "SELECT pg_sleep(5), 1, '', '', '' -- {more}{table}{where}"
        )
        monkeypatch.setattr(queries, "_TIMEOUT_MS", 100)
        with pytest.raises(queries.SearchTooBroad, match="longer text"):
            queries.search(world.user("udo"), "anything")


class TestReads:
    def test_transcript_and_commands_are_redacted(self, session: Any) -> None:
        assert "hunter2" not in str([row.text for row in queries.transcript(session)])
        told = queries.commands(session)
        assert "hunter2" not in str([(row.text, row.detail) for row in told])
        assert [row.number for row in queries.transcript(session, after=0)] == [1, 2]

    def test_reading_gives_events_and_problems(
        self, gateway: FakeGateway, where: FileSystem
    ) -> None:
        made = gateway.record(b"seen\r\n")
        gateway.move()
        reading = queries.reading(made)
        assert reading
        assert [event.text for event in reading.events()] == ["seen\r\n"]
        assert reading.problems == []

    def test_there_is_none_of_what_was_not_recorded(self, session: Any) -> None:
        assert queries.reading(session) is None
        assert queries.recording_of(session) is None

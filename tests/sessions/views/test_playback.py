"""The playback page: what it shows of a recording, to whom, and that it is on the record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from jit.audit.models import AuditEvent
from jit.elevation.models import Grant
from jit.kernel import clock
from sessions import playing
from sessions.models import AccessSession
from sessions.recording import store_reader
from sessions.recording.models import Command, Recording, Tier, TranscriptLine
from sessions.recording.stores.filesystem import FileSystem
from tests.sessions import used
from tests.sessions.recording.gateway import FakeGateway
from tests.support import people

PART = {"HX-Request": "true"}
At = Callable[[str], Client]


@pytest.fixture
def session(gateway: FakeGateway) -> AccessSession:
    made = gateway.record(b"$ cat <b>secret</b>\r\n", b"nothing\r\n")
    gateway.move()
    made.refresh_from_db()
    assert made.state == "SEALED"
    for number, text in enumerate(("$ cat <b>secret</b>", "nothing")):
        TranscriptLine.objects.create(session=made, number=number, at_ms=number * 1500, text=text)
    return made


def read(answer: Any) -> str:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


class TestOne:
    def test_plays_what_was_recorded(self, at: At, session: AccessSession) -> None:
        answer = at("udo").get(f"/sessions/{session.pk}/", {"t": "1.5", "q": "nothing"})
        text = answer.content.decode()
        assert f'data-cast="/sessions/{session.pk}/cast/"' in text
        assert 'data-start="1.5"' in text
        assert f"/requests/{session.grant.request_id}/chain/" in text
        policy = answer.headers["Content-Security-Policy"]
        assert "'wasm-unsafe-eval'" in policy

    def test_relaxes_the_policy_there_alone(self, at: At, session: AccessSession) -> None:
        for path in ("/sessions/", "/", f"/sessions/{session.pk}/head/"):
            policy = at("udo").get(path).headers["Content-Security-Policy"]
            assert "unsafe" not in policy, path

    def test_says_loudly_what_is_wrong(
        self, at: At, session: AccessSession, where: FileSystem
    ) -> None:
        Recording.objects.update(
            standing="broken",
            problems=[{"kind": "broken", "sentence": "Piece 3 was altered.", "at_ms": 1500}],
        )
        text = at("udo").get(f"/sessions/{session.pk}/").content.decode()
        assert "This recording is broken" in text
        assert "Piece 3 was altered." in text
        assert 'data-seek="1.500"' in text

    def test_takes_no_second_that_is_none(self, at: At, session: AccessSession) -> None:
        answer = at("udo").get(f"/sessions/{session.pk}/", {"t": '1"><script>'})
        assert answer.context["start_at"] == ""


@pytest.mark.parametrize("size", ["0x0", "9000x9000"])
class TestATerminalThatCanNotBeDrawn:
    """As recordings have it that were stored before sizes were bounded."""

    @pytest.fixture
    def stored_size(self, gateway: FakeGateway, size: str) -> AccessSession:
        made = gateway.session()
        tape = gateway.tape(made)
        tape._text("r", size)
        tape.output(b"shown\r\n")
        asyncio.run(tape.close())
        used.closed(made)
        gateway.move()
        made.refresh_from_db()
        return made

    @pytest.mark.parametrize("path", ["cast/", "cast/?from=9", "download/v2/", "download/v3/"])
    def test_is_never_given_to_a_program_that_draws(
        self, at: At, stored_size: AccessSession, size: str, path: str
    ) -> None:
        text = read(at("udo").get(f"/sessions/{stored_size.pk}/{path}"))
        assert "shown" in text
        assert size not in text
        header = json.loads(text.splitlines()[0])
        columns = header["width"] if "v2" in path else header["term"]["cols"]
        assert 2 <= columns <= 1000


class TestWithoutATerminal:
    @pytest.mark.parametrize("path", ["cast/", "download/v2/", "download/v3/"])
    def test_a_replay_is_no_staircase(self, at: At, gateway: FakeGateway, path: str) -> None:
        made = gateway.record(b"out\n", b"err\n")
        gateway.move()
        lines = read(at("udo").get(f"/sessions/{made.pk}/{path}")).splitlines()
        assert [json.loads(line)[2] for line in lines[1:]] == ["out\r\n", "err\r\n"]

    def test_the_text_keeps_its_ends_of_lines(self, at: At, gateway: FakeGateway) -> None:
        made = gateway.record(b"out\n", b"err\n")
        gateway.move()
        assert read(at("udo").get(f"/sessions/{made.pk}/download/text/")) == "out\nerr\n"


class TestCast:
    def test_has_a_mark_for_each_command_of_a_shell(self, at: At, session: AccessSession) -> None:
        AccessSession.objects.update(kind="ssh")
        for number, (tier, text) in enumerate(
            [(Tier.GUESSED, "ls password='x1'"), (Tier.TYPED, "id"), (Tier.EXACT, "exact")]
        ):
            Command.objects.create(
                session=session, number=number, at_ms=0, tier=tier, kind="command", text=text
            )
        lines = read(at("udo").get(f"/sessions/{session.pk}/cast/")).splitlines()
        marks = [json.loads(line)[2] for line in lines[1:] if json.loads(line)[1] == "m"]
        assert marks == ["$ ls password='██'", "$ id"]

    def test_is_what_a_player_takes_and_a_view_of_it(self, at: At, session: AccessSession) -> None:
        lines = read(at("udo").get(f"/sessions/{session.pk}/cast/")).splitlines()
        header = json.loads(lines[0])
        assert (header["version"], header["term"]["cols"]) == (3, 80)
        assert json.loads(lines[1])[1:] == ["o", "$ cat <b>secret</b>\r\n"]
        event = AuditEvent.objects.get(action="session.viewed")
        assert (event.actor_name, event.content["body"]) == ("udo", {"how": "replay"})

    def test_one_look_is_one_event(self, at: At, session: AccessSession) -> None:
        """The page reads picture, commands and transcript: an auditor's log had a view of each."""
        udo = at("udo")
        for part in ("", "cast/", "commands/", "transcript/"):
            assert udo.get(f"/sessions/{session.pk}/{part}").status_code == 200
        read(at("rita").get(f"/sessions/{session.pk}/cast/"))
        seen = AuditEvent.objects.filter(action="session.viewed").order_by("seq")
        assert [event.actor_name for event in seen] == ["udo", "rita"]

    def test_comes_in_parts_and_each_is_a_view_of_it(
        self, at: At, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = gateway.record(*(f"{number:05d}\r\n".encode() * 200 for number in range(20)))
        gateway.move()
        monkeypatch.setattr(playing.part, "__kwdefaults__", {"start": 0, "most": 5_000})
        path, seen, parts = f"/sessions/{made.pk}/cast/", "", 0
        following = ""
        while True:
            text = read(at("udo").get(path, {"from": following} if following else {}))
            parts += 1
            lines = text.splitlines()
            cut = lines[-1].startswith("# continues at ")
            events = [json.loads(line) for line in (lines[1:-1] if cut else lines[1:])]
            seen += "".join(event[2] for event in events[1 if following else 0 :])
            if not cut:
                break
            following = lines[-1].removeprefix("# continues at ")
        assert parts > 1
        assert seen == "".join(f"{number:05d}\r\n" * 200 for number in range(20))
        bodies = [
            event.content["body"]
            for event in AuditEvent.objects.filter(action="session.viewed").order_by("seq")
        ]
        assert bodies[0] == {"how": "replay"}
        assert bodies[-1] == {"how": "replay", "from": following}

    def test_takes_no_beginning_that_is_none(self, at: At, session: AccessSession) -> None:
        whole = read(at("udo").get(f"/sessions/{session.pk}/cast/"))
        assert read(at("udo").get(f"/sessions/{session.pk}/cast/", {"from": "-1"})) == whole
        assert read(at("udo").get(f"/sessions/{session.pk}/cast/", {"from": "nan"})) == whole

    def test_hides_keystrokes_and_words_its_marks(self, at: At, gateway: FakeGateway) -> None:
        import asyncio

        from tests.sessions import used

        made = gateway.session()
        tape = gateway.tape(made)
        tape.output(b"Password: ")
        tape.input(b"hunter2\r")
        tape.mark({"kind": "command", "tier": "protocol", "text": "ls -l\n/tmp"})
        asyncio.run(tape.close())
        used.closed(made)
        gateway.move()
        text = read(at("udo").get(f"/sessions/{made.pk}/cast/"))
        assert "hunter2" not in text
        assert '"m","$ ls -l /tmp"' in text

    def test_is_nobody_elses(self, at: At, session: AccessSession) -> None:
        for path in ("cast/", "download/v2/", "transcript/", "commands/"):
            for name in ("otto", "ada", "opal"):
                assert at(name).get(f"/sessions/{session.pk}/{path}").status_code == 404
        assert not AuditEvent.objects.filter(action="session.viewed").exists()


class TestDownload:
    def test_is_on_the_record(self, at: At, session: AccessSession) -> None:
        answer = at("rita").get(f"/sessions/{session.pk}/download/text/")
        assert "nothing" in read(answer)
        event = AuditEvent.objects.get(action="session.downloaded")
        assert (event.actor_name, event.content["body"]) == ("rita", {"format": "text"})


class TestTranscript:
    def test_jumps_to_the_second_and_escapes(self, at: At, session: AccessSession) -> None:
        text = at("udo").get(f"/sessions/{session.pk}/transcript/", headers=PART).content.decode()
        assert 'data-seek="1.500"' in text
        assert "&lt;b&gt;secret&lt;/b&gt;" in text

    def test_marks_what_was_looked_for(self, at: At, session: AccessSession) -> None:
        path = f"/sessions/{session.pk}/transcript/"
        text = at("udo").get(path, {"q": "<B>"}, headers=PART).content.decode()
        assert "<mark>&lt;b&gt;</mark>secret" in text
        assert "nothing" not in text
        assert "No line" in at("udo").get(path, {"q": "%"}, headers=PART).content.decode()


class TestCommands:
    def test_are_in_labelled_tiers(self, at: At, session: AccessSession) -> None:
        Command.objects.create(
            session=session,
            number=0,
            at_ms=10,
            tier=Tier.EXACT,
            kind="statement",
            text="SELECT <1>",
            detail={
                "parameters": ["x", None],
                "tag": "SELECT 1",
                "rows": 1,
                "ms": 0.7,
                "error": "relation is <gone>",
            },
        )
        text = at("udo").get(f"/sessions/{session.pk}/commands/", headers=PART).content.decode()
        for said in ("SELECT &lt;1&gt;", "NULL", "SELECT 1", "0.7", "relation is &lt;gone&gt;"):
            assert said in text
        AccessSession.objects.update(kind="ssh")
        Command.objects.update(kind="command", tier=Tier.GUESSED)
        text = at("udo").get(f"/sessions/{session.pk}/commands/", headers=PART).content.decode()
        assert "Guessed" in text
        assert "which its user can silence" in text


class TestVerify:
    def test_asks_the_bytes_the_books_and_the_log(self, at: At, session: AccessSession) -> None:
        answer = at("udo").post(f"/sessions/{session.pk}/verify/", headers=PART)
        assert answer.context["found"].good, answer.context["found"]
        assert "the sealed log agrees" in answer.content.decode()

    def test_sees_what_was_changed(self, at: At, session: AccessSession, where: FileSystem) -> None:
        (name,) = store_reader.objects(session.pk, where=where)
        path = where.root / name
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.unlink()
        path.write_bytes(bytes(data))
        answer = at("udo").post(f"/sessions/{session.pk}/verify/", headers=PART)
        assert answer.context["found"].standing == "broken"
        assert "This recording is broken" in answer.content.decode()

    def test_sees_books_that_were_changed(self, at: At, session: AccessSession) -> None:
        Recording.objects.update(digest="0" * 64)
        answer = at("udo").post(f"/sessions/{session.pk}/verify/", headers=PART)
        assert answer.context["found"].log == "disagrees"


class TestFlag:
    def test_is_an_auditors_with_a_comment(self, at: At, session: AccessSession) -> None:
        path = f"/sessions/{session.pk}/flags/"
        assert at("rita").post(path, {"comment": "x"}, headers=PART).status_code == 403
        assert at("otto").post(path, {"comment": "x"}, headers=PART).status_code == 404
        assert at("udo").post(path, {"comment": " "}, headers=PART).status_code == 400
        answer = at("udo").post(path, {"comment": "Why <this> file?"}, headers=PART)
        assert "Why &lt;this&gt; file?" in answer.content.decode()
        event = AuditEvent.objects.get(action="session.flagged")
        assert event.content["body"]["comment"] == "Why <this> file?"
        listed = at("udo").get("/sessions/", {"flagged": "yes"})
        assert listed.context["rows"] == [session]
        flag = session.flags.get()
        settled = at("udo").post(f"{path}{flag.pk}/", {"comment": "It was fine."}, headers=PART)
        assert "It was fine." in settled.content.decode()
        again = at("udo").post(f"{path}{flag.pk}/", {"comment": "x"}, headers=PART)
        assert again.status_code == 409
        assert AuditEvent.objects.filter(action="session.flag-settled").count() == 1
        assert not at("udo").get("/sessions/", {"flagged": "yes"}).context["rows"]

    def test_nobody_settles_a_flag_on_a_session_of_their_own(
        self, at: At, session: AccessSession
    ) -> None:
        path = f"/sessions/{session.pk}/flags/"
        at("udo").post(path, {"comment": "What is this?"}, headers=PART)
        people.person("double", "auditors", same_person_as=session.user)
        flag = session.flags.get()
        answer = at("double").post(f"{path}{flag.pk}/", {"comment": "All fine."}, headers=PART)
        assert answer.status_code == 403
        assert "Settle" not in at("double").get(f"/sessions/{session.pk}/").content.decode()
        flag.refresh_from_db()
        assert flag.settled_at is None


class TestStage:
    def test_a_watched_session_that_is_sealed_turns_into_its_replay(
        self, at: At, session: AccessSession
    ) -> None:
        path = f"/sessions/{session.pk}/stage/"
        answer = at("udo").get(path)
        assert b"data-player" in answer.content
        assert b"data-watch" not in answer.content, "or a hint would begin it anew"
        assert at("otto").get(path).status_code == 404

    def test_one_that_is_live_is_left_alone(self, at: At, gateway: FakeGateway) -> None:
        made = gateway.session()
        assert at("udo").get(f"/sessions/{made.pk}/stage/").status_code == 204


class TestFacts:
    def test_an_ended_grant_does_not_end_in_the_future(
        self, at: At, session: AccessSession
    ) -> None:
        Grant.objects.filter(pk=session.grant_id).update(
            revoking_since=clock.now(), end_reason="returned"
        )
        page = at("udo").get(f"/sessions/{session.pk}/").content.decode()
        assert "Grant ended" in page
        assert "Grant until" not in page

"""Nothing that passes the SSH gateway is left off the record because of what it looks like."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from jit.catalog.models import Role
from sessions.gateways.ssh.asking import Asked
from sessions.gateways.ssh.taps import tap_for
from sessions.models import AccessSession
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.stripper import Stripper
from tests.sessions.gateways.test_taps import FakeTape
from tests.support.processes import until
from tests.support.ssh_gateway import (
    Visitor,
    closed_session,
    events_of,
    facts_of,
    hold,
    output_of,
)


def recorded(rita: Visitor):
    return events_of(rita.gateway, closed_session())


@pytest.fixture
def place(tmp_path: Path):
    """Return a name under /tmp of the host that nobody else uses."""
    name = f"/tmp/jit-test-{tmp_path.name}"
    yield name
    for path in Path("/tmp").glob(f"jit-test-{tmp_path.name}*"):
        path.unlink(missing_ok=True)


class TestScp:
    @pytest.mark.parametrize(
        "command",
        [
            "scp -f /etc/hostname; echo HIDDEN; :",
            "/usr/bin/env echo HIDDEN scp -t x",
            "scp -f /dev/null || echo HIDDEN",
            "scp -t -f x 2>&1; echo HIDDEN",
            "scp up -f x; echo HIDDEN",
        ],
    )
    def test_a_command_that_looks_like_it_is_recorded(
        self, rita: Visitor, operator: Role, command: str
    ):
        hold(operator)
        done = rita.ssh(command)
        assert b"HIDDEN" in done.stdout
        assert "HIDDEN" in output_of(recorded(rita))

    def test_a_shell_behind_it_is_recorded(self, rita: Visitor, operator: Role):
        hold(operator)
        done = rita.ssh(
            "scp -f /dev/null </dev/null; exec sh",
            options=["-tt"],
            input=b"echo HID''DEN\nexit\n",
        )
        assert b"HIDDEN" in done.stdout
        assert "HIDDEN" in output_of(recorded(rita))

    def test_its_very_form_is_recorded_on_a_terminal(self, rita: Visitor, operator: Role):
        hold(operator)
        rita.ssh("scp -f /nowhere/at-all", options=["-tt"], input=b"\0\n")
        assert "at-all" in output_of(recorded(rita))

    def test_its_errors_are_recorded(self, rita: Visitor, operator: Role):
        hold(operator)
        done = rita.copy(":/nowhere/at-all", "/dev/null", old=True)
        assert b"No such file" in done.stderr
        assert "/nowhere/at-all: No such file" in output_of(recorded(rita))

    def test_names_the_place_and_not_the_source(
        self, rita: Visitor, operator: Role, tmp_path: Path, place: str
    ):
        hold(operator)
        (tmp_path / "up").write_bytes(b"x" * 5)
        assert rita.copy(str(tmp_path / "up"), f":{place}", old=True).returncode == 0
        (up,) = facts_of(recorded(rita), "file")
        assert (up["op"], up["path"], up["name"]) == ("upload", place, "up")
        assert rita.copy(f":{place}", str(tmp_path / "down"), old=True).returncode == 0
        (down,) = facts_of(recorded(rita), "file")
        assert (down["op"], down["path"], down["bytes"]) == ("download", place, 5)


class TestARoleOfFilesAlone:
    @pytest.fixture
    def files(self, operator: Role) -> Role:
        config = {"principals": ["web"], "exec": False, "shell": False, "direct": False}
        Role.objects.update(config=config)
        hold(operator)
        return operator

    def test_copies_by_old_scp(self, rita: Visitor, files: Role, tmp_path: Path, place: str):
        (tmp_path / "up").write_bytes(b"x")
        done = rita.copy(str(tmp_path / "up"), f":{place}", old=True)
        assert done.returncode == 0, done.stderr
        assert Path(place).read_bytes() == b"x"

    @pytest.mark.parametrize(
        ("command", "options"),
        [("scp -f /etc/hostname; id", []), ("scp -f /etc/hostname", ["-tt"]), ("scp x -t y", [])],
    )
    def test_runs_nothing_that_looks_like_it(
        self, rita: Visitor, files: Role, command: str, options: list[str]
    ):
        done = rita.ssh(command, options=options)
        assert b"not single commands" in done.stderr
        (fact,) = facts_of(recorded(rita), "command")
        assert (fact["text"], fact["refused"]) == (command, True)


class TestStandardInput:
    def test_of_a_program_has_size_and_digest(self, rita: Visitor, operator: Role):
        hold(operator)
        script = b"echo from-the-script\n"
        assert rita.ssh("sh -s", input=script).stdout == b"from-the-script\n"
        (fact,) = facts_of(recorded(rita), "stdin")
        assert fact == {
            "kind": "stdin", "bytes": len(script), "sha256": hashlib.sha256(script).hexdigest(),
        }  # fmt: skip

    def test_of_a_shell_without_a_terminal_too(self, rita: Visitor, operator: Role):
        hold(operator)
        rita.ssh(input=b"echo shown\n")
        (fact,) = facts_of(recorded(rita), "stdin")
        assert fact["bytes"] == len(b"echo shown\n")

    def test_has_its_text_where_the_role_says_so(self, rita: Visitor, operator: Role):
        Role.objects.update(config={"principals": ["web"], "record_stdin": "text"})
        hold(operator)
        rita.ssh("sh -s", input="echo grüße\n".encode())
        said, counted = facts_of(recorded(rita), "stdin")
        assert said["text"] == "echo grüße\n"
        assert counted["bytes"] == 13

    def test_typed_on_a_terminal_is_nowhere(self, rita: Visitor, operator: Role):
        Role.objects.update(config={"principals": ["web"], "record_stdin": "text"})
        hold(operator)
        rita.ssh("read -rs x; echo $x | wc -c", options=["-tt"], input=b"correct-horse\n")
        events = recorded(rita)
        assert facts_of(events, "stdin") == []


class TestTerminal:
    def test_a_line_typed_ahead_of_a_sleep_is_a_command_and_no_output_is(
        self, rita: Visitor, operator: Role
    ):
        hold(operator)
        rita.ssh(
            options=["-tt"],
            input=b"PS1='$ '; sleep 1\ngzip -d nothing.gz\nexit\n",
            env={"TERM": "dumb", "PATH": os.environ["PATH"]},
        )
        stripper = Stripper()
        found = [*stripper.take(recorded(rita)), *stripper.end()]
        guessed = [each.text for each in found if isinstance(each, Found)]
        assert "gzip -d nothing.gz" in guessed
        assert not any("No such file" in each for each in guessed)


class TestPaste:
    def test_enters_nothing_until_it_is_ended(self):
        asked = Asked()
        asked.terminal("xterm", (80, 24, 0, 0), {})
        tape = FakeTape()
        tap = tap_for(asked, tape.notes)
        for typed in (b"ls\r", b"\x1b[200~a\rb", b"\nc\x1b[201~", b"\r", b"x\ry\r\n"):
            tap.from_person(typed)
        assert [fact["lines"] for fact in tape.said("entered")] == [1, 1, 2]
        assert "ls" not in str(tape.facts)


class TestStreams:
    def test_a_character_cut_by_the_other_output_is_whole(self, rita: Visitor, operator: Role):
        hold(operator)
        rita.ssh(r"printf '\345'; sleep 0.3; printf E >&2; sleep 0.3; printf '\215\200'")
        assert output_of(recorded(rita)) == "E\N{CJK UNIFIED IDEOGRAPH-5340}"


class TestRefusals:
    def test_of_mosh_name_why_and_start_nothing(self, rita: Visitor, operator: Role):
        hold(operator)
        done = rita.ssh("mosh-server new -c 256 -s -l LANG=C.UTF-8", options=["-tt"], input=b"")
        assert b"UDP" in done.stdout + done.stderr
        events = recorded(rita)
        assert "MOSH CONNECT" not in output_of(events)
        (fact,) = facts_of(events, "command")
        assert fact["refused"] is True

    @pytest.mark.parametrize(
        ("options", "to"),
        [
            (["-R", "127.0.0.1:0:127.0.0.1:1"], "the person, from 127.0.0.1:0"),
            (["-R", "/tmp/jit-never.sock:127.0.0.1:1"], "the person, from /tmp/jit-never.sock"),
            (["-A", "-oIdentityAgent={agent}"], "the person's agent"),
            (["-X"], "the person's screen (X11)"),
        ],
        ids=["port", "socket", "agent", "screen"],
    )
    def test_of_ways_back_are_on_record(
        self, rita: Visitor, operator: Role, options: list[str], to: str, agent: str
    ):
        hold(operator)
        done = rita.ssh(
            "echo [$SSH_AUTH_SOCK$DISPLAY]; sleep 1",
            options=[option.format(agent=agent) for option in options],
            env={"SSH_AUTH_SOCK": agent, "DISPLAY": ":77", "PATH": os.environ["PATH"]},
        )
        assert done.stdout == b"[]\n"
        until(lambda: not AccessSession.objects.filter(closed_at__isnull=True).exists())
        facts = [
            fact
            for session in AccessSession.objects.all()
            for fact in facts_of(events_of(rita.gateway, session), "forward")
        ]
        assert facts == [{"kind": "forward", "to": to, "refused": True}]


@pytest.fixture
def agent(tmp_path: Path):
    """Return the socket of a real agent."""
    path = tmp_path / "agent"
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    until(path.exists)
    yield str(path)
    running.terminate()
    running.wait(10)

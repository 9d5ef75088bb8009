"""From what a terminal was sent to what a person read, and did."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.recording.asciicast import Event
from sessions.recording.models import Tier
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.guessing import EDITS
from sessions.recording.transcript.line import clean
from sessions.recording.transcript.stripper import LONGEST_LINE, Line, Stripper


def taken(*texts: str, code: str = "o") -> list[Line | Found]:
    """Return lines and commands of these outputs, a second apart."""
    stripper = Stripper()
    events = [Event(n * 1_000_000, code, text) for n, text in enumerate(texts)]
    return [*stripper.take(events), *stripper.end()]


def lines(*texts: str) -> list[str]:
    return [each.text for each in taken(*texts) if isinstance(each, Line)]


def commands(*texts: str) -> list[tuple[Tier, str]]:
    return [(each.tier, each.text) for each in taken(*texts) if isinstance(each, Found)]


class TestClean:
    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            ("plain", "plain"),
            ("\x1b[1;31mred\x1b[0m and \x1b[4munderlined", "red and underlined"),
            ("\x1b]0;a title\x07after", "after"),
            ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
            (" 10%\r 50%\r100%", "100%"),
            ("longer\rab", "abnger"),
            ("longer\r\x1b[Kab", "ab"),
            ("twx\x08 \x08o", "two"),
            ("ls -k\x08\x1b[Kl", "ls -l"),
            ("abc\x1b[3D\x1b[1PX", "Xc"),
            ("ac\x08\x1b[1@b", "abc"),
            ("\x1b(Bcharset\x0f", "charset"),
            ("bell\x07", "bell"),
            ("col\x1b[10Gten", "col      ten"),
            ("echo 大阪\x08\x08\x08\x08東", "echo 東阪"),
            ("cafe\u0301s\x08x", "cafe\u0301x"),
            ("$ half\x1b[H\x1b[2J$ half a line", "$ half a line"),
            ("$ df x\x08\x08\x08\x08\x1b[Jls", "$ ls"),
            ("$ \x1b[8Cmain\x1b[12Dls", "$ ls      main"),
        ],
    )
    def test_gives_what_was_read(self, sent: str, read: str) -> None:
        assert clean(sent) == read

    def test_takes_what_a_line_editor_draws_as_one_drawing(self) -> None:
        """A menu below the line, and what goes up again to it."""
        sized = [Event(0, "r", "20x10")]
        drawn = f"{EDITS}$ ca\r\nnotes  sum\x1b[A\r\x1b[4Ct notes\r\n\x1b[J\x1b[?2004l\rtext\r\n"
        stripper = Stripper()
        taken = stripper.take([*sized, *(Event(n, "o", each) for n, each in enumerate(drawn))])
        read = [each.text for each in [*taken, *stripper.end()] if isinstance(each, Line)]
        assert read == ["$ cat notes", "text"]

    def test_loses_nothing_where_a_line_editor_never_lets_go(self) -> None:
        text = "".join(f"line {n}\r\n" for n in range(5000))
        stripper = Stripper()
        events = [Event(0, "r", "80x24"), Event(1, "o", EDITS), Event(2, "o", text)]
        read = [
            each for each in [*stripper.take(events), *stripper.end()] if isinstance(each, Line)
        ]
        assert len(read) == 5000

    def test_follows_an_edited_line_into_the_next_row(self) -> None:
        """As readline draws one of 12 letters on 10 columns, and goes back to its first."""
        sent = f"{EDITS}0123456789 \rab\x1b[A\r_"
        assert clean(sent, 10) == "_123456789ab"

    @given(st.text())
    def test_never_leaves_a_control_sequence(self, line: str) -> None:
        assert "\x1b[" not in clean(line.replace("\n", ""))


class TestLines:
    def test_carry_the_time_of_their_beginning(self) -> None:
        assert taken("a\r\nb", "c\r\n", "d") == [Line(0, "a"), Line(0, "bc"), Line(2000, "d")]

    def test_a_sequence_cut_in_two_is_one(self) -> None:
        assert lines("a\x1b[3", "1mb\x1b]0;ti", "tle\x1b", "\\c\r\n") == ["abc"]

    def test_a_full_screen_program_leaves_its_last_screen(self) -> None:
        drawn = "\x1b[?1049h\x1b[2J\x1b[1;1Hfirst\x1b[2;1Hsecond\x1b[1;1Hchanged\x1b[K"
        assert lines("$ vim x\r\n", drawn, "\x1b[?1049l", "$ \r\n") == [
            "$ vim x",
            "changed",
            "second",
            "$",
        ]

    def test_a_switch_cut_in_two_is_one(self) -> None:
        assert lines("a\r\n\x1b[?10", "49hdrawn", "\x1b[?1049", "lb\r\n") == ["a", "drawn", "b"]

    def test_repeats_are_one(self) -> None:
        assert lines("y\r\n" * 1000 + "n\r\n") == ["y", "n"]

    def test_a_long_line_becomes_several(self) -> None:
        assert [len(line) for line in lines("x" * (2 * LONGEST_LINE + 1) + "\r\n")] == [
            2000,
            2000,
            1,
        ]

    @given(st.text(alphabet="ab\x1b[?1049hlK;m\r\n\x08]07", max_size=60), st.data())
    def test_are_the_same_however_the_output_was_cut(self, text: str, data: st.DataObject) -> None:
        cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=5).map(sorted))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert lines(*parts) == lines(text)

    @given(st.text(alphabet="ab\x1b[?1049hlK;m\r\n\x08]07", max_size=60), st.integers(0, 60))
    def test_are_the_same_when_interrupted(self, text: str, at: int) -> None:
        one = Stripper()
        told = list(one.take([Event(0, "o", text[:at])]))
        two = Stripper(json.loads(json.dumps(one.state())))
        told += [*two.take([Event(0, "o", text[at:])]), *two.end()]
        assert [each.text for each in told if isinstance(each, Line)] == lines(text)


class TestCommands:
    @pytest.mark.parametrize(
        ("line", "command"),
        [
            ("rita@web-1:~$ ls -l", "ls -l"),
            ("[root@web-1 etc]# cat shadow", "cat shadow"),
            ("$ sudo -i", "sudo -i"),
            ("sh-5.2$ id", "id"),
            ("(venv) rita@web-1:~/x$ make", "make"),
            ("orders=> select 1;", "select 1;"),
            ("~/src \u276f git log", "git log"),
        ],
    )
    def test_are_guessed_behind_a_prompt(self, line: str, command: str) -> None:
        assert commands(f"{line}\r\n") == [(Tier.GUESSED, command)]

    @pytest.mark.parametrize(
        "line",
        ["# a comment of a file", "it costs 5$ a piece", "100% done", "a > b", "rita@web-1:~$ "],
    )
    def test_are_not_guessed_where_there_is_none(self, line: str) -> None:
        assert commands(f"{line}\r\n") == []

    def test_are_read_as_edited(self) -> None:
        assert commands("rita@w:~$ twx\x08 \x08o\r\n") == [(Tier.GUESSED, "two")]

    def test_of_a_marking_shell_are_what_was_typed_and_never_guessed(self) -> None:
        a, b, c = "\x1b]133;A\x07", "\x1b]133;B\x07", "\x1b]133;C\x07"
        assert commands(f"{a}rita@w:~$ {b}l", "s -l\r\n", f"{c}total 0\r\nrita@w:~$ fake\r\n") == [
            (Tier.TYPED, "ls -l")
        ]

    def test_over_several_lines_are_one(self) -> None:
        told = commands("\x1b]133;B\x07for x in 1 2; do\r\n", "> echo $x; done\r\n\x1b]133;C\x07")
        assert told == [(Tier.TYPED, "for x in 1 2; do\n> echo $x; done")]

    def test_told_by_the_shell_word_for_word_are_taken_at_its_word(self) -> None:
        told = commands("\x1b]633;B\x07shown\r\n\x1b]633;E;echo a\\x3bb;nonce\x07\x1b]633;C\x07")
        assert told == [(Tier.TYPED, "echo a;b")]

    def test_of_the_protocol_are_exact(self) -> None:
        facts = [
            {"kind": "command", "text": "uptime"},
            {"kind": "statement", "text": "select $1", "rows": 3, "parameters": ["x"]},
            {"kind": "file", "path": "/etc/passwd", "direction": "get", "size": 7},
            {"kind": "notice", "text": "5 minutes left"},
        ]
        told = taken(*map(json.dumps, facts), code="m")
        assert [(each.tier, each.kind, each.text) for each in told if isinstance(each, Found)] == [
            (Tier.EXACT, "command", "uptime"),
            (Tier.EXACT, "statement", "select $1"),
            (Tier.EXACT, "file", "/etc/passwd"),
        ]

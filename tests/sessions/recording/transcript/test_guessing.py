"""Commands guessed from what a terminal showed and when lines were entered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sessions.recording.asciicast import Event
from sessions.recording.transcript.commands import Found
from sessions.recording.transcript.stripper import Stripper
from tests.support import shells

MARKED = {"kind": "opened", "what": "shell", "entered": "marked"}
ENTER = {"kind": "entered", "lines": 1}


def guessed(*said: str | dict[str, Any]) -> list[str]:
    """Return the guesses at these outputs and facts, however the indexing was interrupted."""
    stripper, found = Stripper(), []
    for n, each in enumerate([MARKED, *said]):
        stripper = Stripper(json.loads(json.dumps(stripper.state())))
        text = each if isinstance(each, str) else json.dumps(each)
        found += stripper.take([Event(n * 200_000, "o" if isinstance(each, str) else "m", text)])
    found += stripper.end()
    return [each.text for each in found if isinstance(each, Found)]


class TestCorpus:
    @pytest.mark.parametrize(
        ("corpus", "recordings", "least_precision", "least_recall"),
        [("shells", 60, 0.98, 0.95), ("held-out", 25, 0.98, 0.95)],
    )
    def test_has_precision_and_recall(
        self, corpus: str, recordings: int, least_precision: float, least_recall: float
    ) -> None:
        found = list(shells.corpus(corpus))
        assert len(found) >= recordings
        precision, recall = shells.precision_and_recall(found)
        wrong = [each for each in found if each.invented or each.missed]
        assert precision >= least_precision, wrong
        assert recall >= least_recall, wrong

    def test_typing_ahead_of_a_sleep_lists_no_output_and_loses_no_command(self) -> None:
        ahead = [each for each in shells.corpus("shells") if each.name.endswith("-ahead")]
        assert len(ahead) >= 3
        for each in ahead:
            assert each.guessed == each.commands


class TestMarked:
    def test_output_that_looks_like_a_prompt_is_no_command(self) -> None:
        assert guessed("$ ", "cat x", ENTER, "\r\nrita@w:~$ rm -rf /\r\n$ ") == ["cat x"]

    def test_what_another_program_reads_is_no_command(self) -> None:
        said = ["$ cat > f", ENTER, "\r\n", "ls", ENTER, "\r\n", "$ ", "id", ENTER, "\r\n"]
        assert guessed(*said) == ["cat > f", "id"]

    def test_a_line_given_up_is_no_command(self) -> None:
        assert guessed("$ ", "cat x^C\r\n", "$ ") == []

    @pytest.mark.parametrize("prompt", ["(gdb) ", "In [{}]: ", "\u279c ~ "])
    def test_a_prompt_without_a_usual_sign_is_known_when_it_comes_again(self, prompt: str) -> None:
        said: list[str | dict[str, Any]] = []
        for n, command in enumerate(["p 1+1", "p 2 > 1", "quit"]):
            said += [prompt.format(n), command, ENTER, "\r\n"]
        assert guessed(*said) == ["p 1+1", "p 2 > 1", "quit"]

    @pytest.mark.parametrize("asks", ["Overwrite? ", "Proceed [y/n]? "])
    def test_an_answer_to_a_question_asked_again_is_no_command(self, asks: str) -> None:
        assert guessed(*[asks, "y", ENTER, "\r\n"] * 3) == []

    def test_what_stands_at_the_right_of_the_screen_is_no_part_of_a_command(self) -> None:
        said = ["$ \x1b[60Cmain\x1b[64D", "ls -l", ENTER, "\r\n"]
        assert guessed(*said) == ["ls -l"]

    @pytest.mark.parametrize("prompt", ["$ ", "rita@w:~$ ", "[root@w etc]# ", "w% ", "x => "])
    def test_the_same_command_twice_is_two(self, prompt: str) -> None:
        said = [prompt, "true", ENTER, "\r\n"]
        assert guessed(*said, *said) == ["true", "true"]


class TestUnmarked:
    def test_recordings_of_before_are_guessed_by_their_prompts_alone(self) -> None:
        stripper = Stripper()
        found = [*stripper.take([Event(0, "o", "rita@w:~$ ls\r\n")]), *stripper.end()]
        assert [each.text for each in found if isinstance(each, Found)] == ["ls"]

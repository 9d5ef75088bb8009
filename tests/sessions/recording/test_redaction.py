"""What viewers don't see, and that nothing else changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.recording.asciicast import Event
from sessions.recording.redaction import Redactor


def hidden(text: str) -> str:
    return Redactor.of_settings().text(text)


class TestText:
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
            (
                "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            ),
            ("postgresql://app:hunter2@db/orders", "hunter2"),
            ("ALTER ROLE app PASSWORD 'it''s me'", "it''s me"),
            ("mysql --password=hunter2 -u root", "hunter2"),
            ("\x1b[31mAKIAIOSFODNN7EXAMPLE\x1b[0m", "AKIAIOSFODNN7EXAMPLE"),
            ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz"),
        ],
    )
    def test_hides_the_secret_and_nothing_else(self, text: str, secret: str) -> None:
        assert hidden(text) == text.replace(secret, "█" * len(secret))

    @pytest.mark.parametrize(
        "text", ["password:", "https://example.org/a@b", "the token is gone", "pwd", "ls -la 'x'"]
    )
    def test_leaves_what_is_none(self, text: str) -> None:
        assert hidden(text) == text

    def test_hides_a_private_key_over_many_texts(self) -> None:
        redactor = Redactor.of_settings()
        parts = ["$ cat id\r\n-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3Bl", "bnNz\r\n", "aC1r"]
        parts += ["\r\n-----END OPENSSH PRIVATE KEY-----\r\n$ "]
        told = "".join(redactor.text(part) for part in parts)
        assert told == (
            "$ cat id\r\n-----BEGIN OPENSSH PRIVATE KEY-----\r\n████████\r\n████\r\n"
            "-----END OPENSSH PRIVATE KEY-----\r\n$ "
        )

    def test_a_key_that_never_ends_does_not_hide_the_rest_for_ever(self) -> None:
        redactor = Redactor.of_settings()
        redactor.text("-----BEGIN PRIVATE KEY-----\n" + "x" * 70_000)
        assert redactor.text("seen again") == "seen again"

    def test_the_first_line_of_a_key_hides_nothing_that_is_none(self) -> None:
        redactor = Redactor.of_settings()
        shown = (
            "-----BEGIN PRIVATE KEY-----\r\nrita@w:~$ rm -rf /srv\r\nuid=0(root) gid=0(root)\r\n"
        )
        assert redactor.text(shown) == shown
        assert redactor.text("rita@w:~$ cat x\r\n") == "rita@w:~$ cat x\r\n"


class TestEvents:
    def test_finds_what_was_typed_letter_by_letter(self) -> None:
        text = "$ psql postgresql://app:hunter2@db\r\n"
        events = [Event(n, "o", letter) for n, letter in enumerate(text)]
        told = list(Redactor.of_settings().events(events))
        assert "".join(each.text for each in told) == text.replace("hunter2", "█" * 7)
        assert [each.at for each in told] == list(range(len(text)))

    def test_of_none_hides_nothing(self) -> None:
        events = [Event(0, "o", "PASSWORD 'x'\n")]
        assert list(Redactor.none().events(events)) == events

    @given(st.lists(st.tuples(st.sampled_from("oirmx"), st.text(max_size=8)), max_size=30))
    def test_keeps_every_event_its_time_and_its_length(
        self, given_events: list[tuple[str, str]]
    ) -> None:
        events = [Event(n, code, text) for n, (code, text) in enumerate(given_events)]
        told = list(Redactor.of_settings().events(events))
        assert [(each.at, each.code, len(each.text)) for each in told] == [
            (each.at, each.code, len(each.text)) for each in events
        ]

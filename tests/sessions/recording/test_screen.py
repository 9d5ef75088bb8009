"""Snapshots: a fresh terminal that is sent one shows what the first terminal shows."""

from __future__ import annotations

from sessions.recording import screen
from sessions.recording.asciicast import Event

ALT, BACK = "\x1b[?1049h", "\x1b[?1049l"
RESET = "\x1b[0m\x1b[H\x1b[2J"


def of(*texts: str) -> screen.Snapshot:
    """Return the snapshot after these pieces, oldest first."""
    return screen.snapshot([[Event(0, "o", text)] for text in reversed(texts)])


class TestSnapshot:
    def test_of_a_shell_is_all_it_showed(self) -> None:
        assert of("$ ls\r\n", "a b\r\n$ ") == screen.Snapshot(
            RESET + "$ ls\r\na b\r\n$ ", exact=True
        )

    def test_begins_where_the_screen_was_last_cleared(self) -> None:
        assert of("old\r\n\x1b[H\x1b[2Jnew").text == RESET + "\x1b[2Jnew"

    def test_of_a_full_screen_program_begins_where_it_took_the_screen(self) -> None:
        seen = of("$ vim\r\n", f"noise{ALT}~ file", "\x1b[5;1Hmore")
        assert seen == screen.Snapshot(f"{RESET}{ALT}~ file\x1b[5;1Hmore", exact=True)

    def test_leaves_out_what_a_program_drew_that_was_left(self) -> None:
        seen = of("$ vim\r\n", f"{ALT}\x1b[2Jdrawing", f"last{BACK}$ echo hi\r\n", "hi\r\n")
        assert seen == screen.Snapshot(RESET + "$ vim\r\n$ echo hi\r\nhi\r\n", exact=True)

    def test_of_two_programs_one_after_the_other(self) -> None:
        seen = of(f"a{ALT}one{BACK}b{ALT}two{BACK}c")
        assert seen.text == RESET + "abc"

    def test_is_bounded_and_says_so(self) -> None:
        seen = of(*["line of output\r\n" * 1000] * 30)
        assert len(seen.text) <= screen.LONGEST + len(RESET)
        assert not seen.exact
        assert seen.text.startswith(RESET + "line of output")

    def test_only_output_is_shown(self) -> None:
        pieces = [[Event(0, "i", "typed"), Event(0, "o", "seen"), Event(0, "m", "{}")]]
        assert screen.snapshot(pieces).text == RESET + "seen"

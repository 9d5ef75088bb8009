"""What a replay shows is harmless for the terminal it is shown in."""

from __future__ import annotations

from sessions.gateways.observing.rendering import plain


class TestPlain:
    def test_nothing_moves_the_cursor_of_whoever_replays_it(self) -> None:
        assert plain("a\x1b[2Jb\u202ec\nd") == "a\\x1b[2Jb\\x202ec\r\nd"

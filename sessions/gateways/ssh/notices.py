"""How the gateway itself speaks to a person in the middle of their session."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def line(sentence: str, *, on_terminal: bool) -> bytes:
    """Return the sentence as a line of its own, without controls of whoever wrote it; on a
    terminal in inverse video, where lines end with CR LF.
    """
    plain = _CONTROLS.sub(" ", sentence)
    if on_terminal:
        return f"\r\n\x1b[0;7m {plain} \x1b[0m\r\n".encode()
    return f"{plain}\n".encode()

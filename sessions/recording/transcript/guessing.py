"""Which lines of a screen were commands: guessed from prompts, and from when a line was entered.

The gateway marks each time that the person ended a line (`entered`, without what they typed).
What stands behind a prompt is a command if a line was entered there, or ahead of it. Shells with
a line editor of their own draw what was typed ahead again behind their prompt. For the others
the terminal has shown it long before, and what follows the prompt is output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# The usual signs at the end of a prompt: $ # % > >>> and those of fancy ones; ... of Python.
_SIGN = re.compile("(?:[$#%\u276f\u03bb]|>{1,3}|(?<![^ ])\\.\\.\\.)(?: |$)")
_LONGEST_PROMPT, _MOST_WORDS = 100, 4
EDITS = "\x1b[?2004h"
"""Bracketed paste, which line editors turn on at a prompt (readline from 8.1 on, zsh, fish)."""
_MOST_AHEAD = 200


class Guesser:
    """Follows one screen line by line; `state` is JSON, from which another goes on."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self.marked: bool = given.get("marked", False)
        """Whether this recording says when lines were entered."""
        self._fresh: int = given.get("fresh", 0)
        self._ahead: int = given.get("ahead", 0)
        self._echoed: list[str] = given.get("echoed", [])

    def state(self) -> dict[str, Any]:
        return {
            "marked": self.marked,
            "fresh": self._fresh,
            "ahead": self._ahead,
            "echoed": self._echoed,
        }

    def entered(self, lines: int, shown: str) -> None:
        """Hear that so many lines were entered while `shown` stood on the cursor's line."""
        if _behind_prompt(shown) is not None:
            self._fresh, self._ahead = 1, lines - 1
            self._echoed.clear()
        else:
            self._ahead += lines
        self._ahead = min(self._ahead, _MOST_AHEAD)

    def line(self, text: str, *, edited: bool) -> str:
        """Hear a line that is complete; return the command on it, or that it stands for, if any.
        `edited` says that a line editor was at work on it.
        """
        typed = _behind_prompt(text)
        if typed is None:
            if self._ahead and not self._fresh:
                self._echoed.append(text)
                del self._echoed[_MOST_AHEAD:]
            return ""
        if self._fresh:
            self._fresh = 0
        elif self._ahead:
            self._ahead -= 1
            if not edited:
                typed = self._echoed.pop(0) if self._echoed else ""
        else:
            return ""
        # What was given up stays on the line of a shell that does not begin a new one.
        return typed.rpartition("^C")[2].strip()


def _behind_prompt(text: str) -> str | None:
    """Return what stands behind the prompt that the line begins with, or None without one."""
    sign = _SIGN.search(text)
    if sign is None or sign.end() > _LONGEST_PROMPT:
        return None
    if len(text[: sign.start()].split()) >= _MOST_WORDS:
        return None
    return text[sign.end() :]

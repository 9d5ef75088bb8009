"""Which lines of a screen were commands: guessed from prompts, and from when a line was entered.

The gateway marks each time that the person ended a line (`entered`, without what they typed).
What stands behind a prompt is a command if a line was entered there, or ahead of it. A prompt is
known by its usual sign, or by being one again: what a program waits with, line after line, is its
prompt, and asks no question. Shells with a line editor of their own draw what was typed ahead again
behind their prompt. For the others the terminal has shown it long before, and what follows the
prompt is output.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sessions.recording.transcript.line import EDITING, GAP

# The usual signs at the end of a prompt: $ # % > >>> and those of fancy ones; ... of Python.
_SIGN = re.compile("(?:[$#%\u276f\u03bb]|>{1,3}|(?<![^ ])\\.\\.\\.)(?: |$)")
_LONGEST_PROMPT, _MOST_WORDS = 100, 4
EDITS = f"\x1b[{EDITING}h"
_MOST_AHEAD = 200
_WAITS = 150
"""Milliseconds without output after which a program counts as waiting for its person."""
_MOST_PROMPTS = 50
_BLANK = f" {GAP}"
_NUMBER = re.compile(r"\d+")


class Guesser:
    """Follows one screen line by line; `state` is JSON, from which another goes on."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self.marked: bool = given.get("marked", False)
        """Whether this recording says when lines were entered."""
        self._fresh: int = given.get("fresh", 0)
        self._ahead: int = given.get("ahead", 0)
        self._echoed: list[str] = given.get("echoed", [])
        self._shown_at: int = given.get("shown_at", 0)
        self._waits_with: str | None = given.get("waits_with")
        self._prompt: str = given.get("prompt", "")
        self._prompts: dict[str, list[Any] | None] = given.get("prompts", {})
        """What was waited with, its numbers left out, with the first command there until another
        one follows.
        """

    def state(self) -> dict[str, Any]:
        return {
            "marked": self.marked,
            "fresh": self._fresh,
            "ahead": self._ahead,
            "echoed": self._echoed,
            "shown_at": self._shown_at,
            "waits_with": self._waits_with,
            "prompt": self._prompt,
            "prompts": self._prompts,
        }

    def waits(self, at: int) -> bool:
        """Hear that something is shown or entered at `at` milliseconds; return whether the program
        has waited until then, for the first time on this line.
        """
        waited = self._waits_with is None and at - self._shown_at >= _WAITS
        self._shown_at = at
        return waited

    def waited(self, line: str) -> None:
        """Hear with what on the cursor's line the program waited."""
        self._waits_with = f"{line} " if line else None

    def entered(self, lines: int, shown: str) -> None:
        """Hear that so many lines were entered while `shown` stood on the cursor's line."""
        self._prompt = self._learnt(shown)
        if self._prompt or _behind_sign(shown) is not None:
            self._fresh, self._ahead = 1, lines - 1
            self._echoed.clear()
        else:
            self._ahead += lines
        self._ahead = min(self._ahead, _MOST_AHEAD)

    def line(self, shown: str, *, edited: bool, at: int) -> list[tuple[int, str]]:
        """Hear a line that is complete; return the commands on it, or that it stands for, if any,
        with their times. `edited` says that a line editor was at work on it.
        """
        prompt, self._prompt, self._waits_with = self._prompt, "", None
        if prompt and self._fresh:
            self._fresh = 0
            return self._behind_learnt(prompt, shown, at)
        typed = _behind_sign(shown)
        if typed is None:
            if self._ahead and not self._fresh:
                self._echoed.append(shown.replace(GAP, " "))
                del self._echoed[_MOST_AHEAD:]
            return []
        if self._fresh:
            self._fresh = 0
        elif self._ahead:
            self._ahead -= 1
            if not edited:
                typed = self._echoed.pop(0) if self._echoed else ""
        else:
            return []
        return _commands(at, typed)

    def drawn(self, found: list[str], *, at: int) -> list[tuple[int, str]]:
        """Hear the rows that a line editor had drawn, up to its cursor, when it let go: the last
        prompt begins the command, and what it drew before is gone.
        """
        start = self._prompt_row(found)
        more = [row.lstrip(_BLANK).partition(GAP)[0].strip() for row in found[start + 1 :]]
        first = self.line(found[start], edited=True, at=at)
        return first + [(at, row) for row in more if row and first]

    def last_prompt(self, found: list[str]) -> str:
        """Return the row with the last prompt of these, or the last row."""
        return found[self._prompt_row(found)]

    def _prompt_row(self, found: list[str]) -> int:
        for number in range(len(found) - 1, -1, -1):
            row = found[number]
            if _behind_sign(row) is not None or self._learnt(row):
                return number
        return len(found) - 1

    def _learnt(self, shown: str) -> str:
        """Return what the program waited with if that may be a prompt without a usual sign."""
        waits_with = (self._waits_with or "").lstrip()
        if not waits_with.strip() or len(waits_with) > _LONGEST_PROMPT or "?" in waits_with:
            return ""
        if not shown.startswith(waits_with) or _SIGN.search(waits_with):
            return ""
        return waits_with

    def _behind_learnt(self, prompt: str, shown: str, at: int) -> list[tuple[int, str]]:
        found = _commands(at, shown.removeprefix(prompt)) if shown.startswith(prompt) else []
        name = _NUMBER.sub("0", prompt)
        if name not in self._prompts:
            if found and len(self._prompts) < _MOST_PROMPTS:
                self._prompts[name] = list(found[0])
            return []
        first, self._prompts[name] = self._prompts[name], None
        return ([(first[0], first[1])] if first else []) + found


def _behind_sign(shown: str) -> str | None:
    """Return what stands behind the prompt that the line begins with, or None without one."""
    sign = _SIGN.search(shown)
    if sign is None or sign.end() > _LONGEST_PROMPT:
        return None
    if len(shown[: sign.start()].split()) >= _MOST_WORDS:
        return None
    return shown[sign.end() :]


def _commands(at: int, typed: str) -> list[tuple[int, str]]:
    """Return the command in what was typed, without what stands at the right of the screen. What
    was given up stays on the line of a shell that does not begin a new one.
    """
    command = typed.partition(GAP)[0].rpartition("^C")[2].strip()
    return [(at, command)] if command else []

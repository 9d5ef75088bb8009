"""Secrets that viewers don't see: patterns applied when a recording is shown, never when it is
made. What was recorded stays as it was, sealed.

A pattern is looked for in whole lines of output, however many events they came in. Of a live
session each event is looked at by itself, so that nothing is held back: what is typed letter by
letter is seen there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from django.conf import settings

from sessions.recording import asciicast
from sessions.recording.asciicast import Event

BLOCK = "█"
_LONGEST_LINE = 16 * 1024
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_])")
# A key's own lines, and what else can be part of one. Whatever else is shown between the two lines
# of a key is shown: anybody can print the first line, and never the last.
_BODY = re.compile(r"^[A-Za-z0-9+/=]+(?=\r?$)|[A-Za-z0-9+/=]{16,}", re.MULTILINE)
_LONGEST_KEY = 64 * 1024


class Redactor:
    """Hides what the patterns match; one for each viewing, since it remembers open keys.

    A pattern with a group named `secret` hides that group only.
    """

    def __init__(self, patterns: Iterable[re.Pattern[str]], *, keys: bool = True) -> None:
        self._patterns = list(patterns)
        self._keys = keys
        self._in_key = 0

    @classmethod
    def of_settings(cls) -> Redactor:
        """Return one with the installation's patterns."""
        return cls(compiled(tuple(settings.REDACTION_PATTERNS)))

    @classmethod
    def none(cls) -> Redactor:
        """Return one that hides nothing."""
        return cls([], keys=False)

    def text(self, text: str) -> str:
        """Return `text` with every match hidden, its length and line ends unchanged."""
        # A colour's last letter must not stick to the word that follows it.
        bare = _CONTROL.sub(_zeros, text) if "\x1b" in text else text
        for pattern in self._patterns:
            group = "secret" if "secret" in pattern.groupindex else 0
            for found in pattern.finditer(bare):
                start, end = found.span(group)
                text = text[:start] + _blocks(text[start:end]) + text[end:]
        return self._hide_keys(text) if self._keys else text

    def line(self, line: str) -> str:
        """Return an asciicast line with its text redacted."""
        interval, code, text = asciicast.parse_line(line)
        hidden = self.text(text)
        if hidden == text:
            return line
        return asciicast.event_line(interval, code, hidden).decode()

    def events(self, events: Iterable[Event]) -> Iterator[Event]:
        """Yield the events with what they show redacted, over the borders between them."""
        held: list[Event] = []
        length = 0
        for event in events:
            held.append(event)
            if event.code in "oi":
                length += len(event.text)
                if "\n" in event.text or length > _LONGEST_LINE:
                    yield from self._together(held)
                    held, length = [], 0
            elif not length:
                yield from self._together(held)
                held = []
        yield from self._together(held)

    def _together(self, held: list[Event]) -> Iterator[Event]:
        hidden = {
            code: self.text("".join(each.text for each in held if each.code == code))
            for code in {each.code for each in held}
        }
        at = dict.fromkeys(hidden, 0)
        for each in held:
            start = at[each.code]
            at[each.code] = end = start + len(each.text)
            yield Event(each.at, each.code, hidden[each.code][start:end])

    def _hide_keys(self, text: str) -> str:
        """Hide the lines of a private key, over as many texts as it takes."""
        if not self._in_key and "PRIVATE KEY" not in text:
            return text
        told, at = [], 0
        while at < len(text):
            if not self._in_key:
                begins = _KEY_BEGINS.search(text, at)
                end = begins.end() if begins else len(text)
                told.append(text[at:end])
                self._in_key = 1 if begins else 0
            else:
                ends = _KEY_ENDS.search(text, at)
                end = ends.start() if ends else len(text)
                told.append(_BODY.sub(lambda body: BLOCK * len(body[0]), text[at:end]))
                self._in_key = 0 if ends else self._in_key + end - at
                if self._in_key > _LONGEST_KEY:
                    self._in_key = 0
                if ends:
                    told.append(ends.group())
                    end = ends.end()
            at = end
        return "".join(told)


def _zeros(found: re.Match[str]) -> str:
    return "\0" * len(found.group())


def _blocks(text: str) -> str:
    return "".join(character if character in "\r\n" else BLOCK for character in text)


@cache
def compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Return the patterns ready for use, or raise re.error."""
    return tuple(re.compile(pattern) for pattern in patterns)

"""What the replay of a database session shows: prompt, statement, and how it went."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BOLD, _DIM, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
# Whatever could move the cursor or hide text in a terminal; line ends and tabs apart.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_PROMPTS = {"I": "=>", "T": "=*>", "E": "=!>"}
_SHOWN_PARAMETER = 200


def plain(text: str) -> str:
    """Return `text` as harmless lines for a terminal."""
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    if "\n" in text or "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    return text


def statement(
    database: str, status: str, shown: str, parameters: Sequence[str | None] = (), note: str = ""
) -> bytes:
    """Return the lines of a statement that is about to be run; `shown` went through `plain`."""
    line = f"{_BOLD}{database}{_PROMPTS.get(status, '=>')}{_PLAIN} {shown}"
    if note:
        line += f"  {_DIM}{plain(note)}{_PLAIN}"
    if parameters:
        told = "  ".join(
            f"${number} = {_parameter(value)}" for number, value in enumerate(parameters, 1)
        )
        line += f"\r\n{_DIM}    {told}{_PLAIN}"
    return f"{line}\r\n".encode()


def _parameter(value: str | None) -> str:
    if value is None:
        return "NULL"
    if len(value) > _SHOWN_PARAMETER:
        value = value[:_SHOWN_PARAMETER] + "…"
    return f"'{plain(value)}'"


def completed(tag: str, milliseconds: float) -> bytes:
    return f"{_DIM}{plain(tag)}  {milliseconds:.1f} ms{_PLAIN}\r\n".encode()


def failed(error: str) -> bytes:
    return f"{_RED}{plain(error)}{_PLAIN}\r\n".encode()


def notice(sentence: str) -> bytes:
    return f"{_YELLOW}{plain(sentence)}{_PLAIN}\r\n".encode()

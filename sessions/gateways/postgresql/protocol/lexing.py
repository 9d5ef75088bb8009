"""As much of SQL's lexis as it takes to tell statements, strings and comments apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

# PostgreSQL documentation, section 4.1: what can hide a semicolon, and words.
_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\r\n]*|/\*)
    | (?P<escaped>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<string>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?:[^\W\d]\w*)?\$)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<bracket>[()])
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_MAKES_BODY = {"function", "procedure"}


class Token(NamedTuple):
    kind: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """Yield comments, strings, quoted names, words, round brackets and semicolons.

    What is not closed reaches to the end. Strings are read with standard_conforming_strings on.
    """
    at = 0
    while found := _TOKEN.search(text, at):
        kind, at = str(found.lastgroup), found.end()
        if found[0] == "/*":
            at = _comment_end(text, at)
        elif kind == "dollar":
            closing = text.find(found[0], at)
            at = len(text) if closing < 0 else closing + len(found[0])
        yield Token(kind, found.start(), at)


def split(text: str) -> list[str]:
    """Return the statements of `text`, without the semicolons and without empty ones.

    Only what is shown depends on it: the server does its own reading. A body in BEGIN ATOMIC
    stays whole.
    """
    found: list[str] = []
    began = depth = atomic = 0
    words: list[str] = []
    for kind, start, end in tokens(text) if ";" in text else ():
        if kind == "bracket":
            depth = max(0, depth + (1 if text[start] == "(" else -1))
        elif kind == "word":
            word = text[start:end].lower()
            atomic = _atomic_depth(atomic, words, word)
            words.append(word)
        elif kind == "end" and not depth and not atomic:
            found.append(text[began:start])
            began, words = end, []
    found.append(text[began:])
    return [one for one in (each.strip() for each in found) if not _is_empty(one)]


def _is_empty(statement: str) -> bool:
    """Return whether it is only comments: the server says nothing to those."""
    if not statement.startswith(("--", "/*")):
        return not statement
    at = 0
    for kind, start, end in tokens(statement):
        if kind != "comment" or statement[at:start].strip():
            return False
        at = end
    return not statement[at:].strip()


def _atomic_depth(depth: int, words: list[str], word: str) -> int:
    if word == "atomic" and words[-1:] == ["begin"] and _MAKES_BODY & set(words[:5]):
        return 1
    if depth and word == "case":
        return depth + 1
    if depth and word == "end":
        return depth - 1
    return depth


def _comment_end(text: str, at: int) -> int:
    """Return where the block comment that began before `at` ends; they nest."""
    depth = 1
    while depth:
        token = _COMMENT.search(text, at)
        if not token:
            return len(text)
        depth += 1 if token[0] == "/*" else -1
        at = token.end()
    return at

"""Passwords in statements are never written down, and nothing else can be hidden by them."""

from __future__ import annotations

import re

from sessions.gateways.postgresql.protocol import lexing

MASK = "'********'"
_LITERALS = {"string", "escaped", "dollar"}
_BETWEEN = re.compile(r"\s*=?\s*(?:[uU]&)?")
# In a connection string, which is itself a literal: CREATE SUBSCRIPTION, dblink_connect.
_IN_CONNINFO = re.compile(r"(?P<kept>\bpassword=)[^\s'\"$;]+", re.IGNORECASE)
# Outside of a literal, or in a body of code, a call may stand there: it was run, so it is shown.
_CALLS = re.compile(r"\bpassword=[^\s'\"$;]*\(", re.IGNORECASE)
_IN_URL = re.compile(r"(?P<kept>\bpostgres(?:ql)?://[^\s:/@';]+:)[^\s@';]+(?=@)", re.IGNORECASE)


def mask(text: str) -> str:
    """Return `text` with the literals that follow the word PASSWORD, and passwords in
    connection strings, replaced.

    Where the server may read strings otherwise than we do (a backslash before a quote, which
    depends on standard_conforming_strings) nothing is masked: a mask must never cover what was run.
    """
    lowered = text.lower()
    if "password" in lowered:
        text = _literals(text)
        if not _CALLS.search(text):
            text = _IN_CONNINFO.sub(r"\g<kept>********", text)
    if "://" in text and "postgres" in lowered:
        text = _IN_URL.sub(r"\g<kept>********", text)
    return text


def _literals(text: str) -> str:
    parts: list[str] = []
    kept = 0
    after = -1
    for kind, start, end in lexing.tokens(text):
        if kind in _LITERALS and after >= 0 and _BETWEEN.fullmatch(text, after, start):
            parts += [text[kept:start], MASK]
            kept = end
        if kind == "string" and "\\'" in text[start:end]:
            return text
        # In U&'…' the U is a word of its own to our lexer.
        if kind == "word" and text[start:end].lower() != "u":
            after = end if text[start:end].lower() == "password" else -1
        elif kind == "comment" and after >= 0:
            after = end if _BETWEEN.fullmatch(text, after, start) else -1
        elif kind != "word":
            after = -1
    return "".join([*parts, text[kept:]])

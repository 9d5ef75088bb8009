"""Somebody's text, made safe to read."""

from __future__ import annotations

import unicodedata

_KEPT = {"\n", "\t"}
_UNSEEN = {"Cc", "Cf", "Co", "Cs"}


def visible(text: object) -> str:
    """Return `text` with what can't be seen made visible: controls, zero-width and
    bidirectional characters become `⟦U+202E⟧`, so that no text poses as another. It is not
    escaped: that is for whoever draws it.
    """
    said = "" if text is None else str(text)
    if said.isprintable():  # as nearly everything is
        return said
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _UNSEEN
        else f"⟦U+{ord(character):04X}⟧"
        for character in said.replace("\r\n", "\n")
    )


def one_line(text: object, longest: int = 200) -> str:
    """Return `text` made visible, in one line and cut to `longest` characters: fit for a
    title or a mail header.
    """
    line = " ".join(visible(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"

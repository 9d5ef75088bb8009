"""People's words for Slack: what can't be seen made visible, cut to length, never markup."""

from __future__ import annotations

import unicodedata

from jit.kernel.text import visible
from jit.web.templatetags.pages import duration

MORE = " … (open to read all)"

__all__ = ["MORE", "cut", "duration", "literal"]


def literal(text: object, limit: int, *, more: str = "…") -> str:
    """Return somebody's text for a `plain_text` or `rich_text` element: composed (NFC), with
    bidirectional, zero-width and control characters drawn as `⟦U+202E⟧`, at most `limit`
    characters long. Where it is cut, `more` stands at its end.
    """
    shown = visible(unicodedata.normalize("NFC", str(text or ""))).replace("\t", " ")
    return cut(shown, limit, more=more)


def cut(text: str, limit: int, *, more: str = "…") -> str:
    """Return `text` with at most `limit` characters."""
    return text if len(text) <= limit else text[: max(limit - len(more), 0)] + more

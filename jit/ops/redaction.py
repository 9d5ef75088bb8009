"""Keep secrets out of the log: those we know, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MASK = "[hidden]"
_SHORTEST = 8
_SECRET_SETTINGS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "SEALING_KEY")
_SHAPES = re.compile(
    r"""(?ix)
      (?P<token> \bjit_[a-z]{2,5}_[\w-]{8,} )
    | (?P<scheme> \b(?:bearer|basic)\s+ ) [\w.~+/=-]{8,}
    | (?P<url> \b[a-z][a-z0-9+.-]*://[^\s/:@]* : ) [^\s/@]+ (?=@)
    | (?P<pair> (?<![a-z]) (?:password|passwd|pwd|secret|token|api_?key|credential|cookie)
        ["']? \s*[=:]\s* ["']? ) (?!\[hidden\]) [^\s"',;&)}]+
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    """,
    re.DOTALL,
)
_NAMES = re.compile(
    r"(?:password|passwd|pwd|secret|token|api_?key|credential|cookie)s?$", re.IGNORECASE
)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, bytes):
        yield value.hex()
        value = value.decode("utf-8", "ignore")
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


def known_secrets() -> set[str]:
    """Return the secrets in the settings that may not stand in any line."""
    found: set[str] = set()
    for name in _SECRET_SETTINGS:
        with suppress(ImproperlyConfigured):  # an empty SECRET_KEY is for the checks to report
            found.update(_texts(getattr(settings, name, ())))
    for database in settings.DATABASES.values():
        found.update(_texts(database.get("PASSWORD", "")))
    for system in settings.TICKET_SYSTEMS.values():
        found.update(_texts(system.get("token", "")))
    for system in settings.ONCALL_SYSTEMS.values():
        found.update(_texts([system.get("token", ""), system.get("secret", "")]))
    found.update(_texts(settings.ONCALL_WEBHOOK_SECRETS))
    return {secret for secret in found if len(secret) >= _SHORTEST}


class Redactor:
    """Masks secrets in texts; made once, when logging is set up."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted(secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, text: str) -> str:
        """Return `text` with every known secret and everything shaped like one masked."""
        if self._known:
            text = self._known.sub(MASK, text)
        return _SHAPES.sub(_masked, text)

    def deep(self, value: Any) -> Any:
        """Return `value` with all its texts masked: mappings and sequences are walked."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {str(key): self.deep(self._of(str(key), item)) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.deep(item) for item in value]
        return value

    @staticmethod
    def _of(key: str, item: Any) -> Any:
        return MASK if _NAMES.search(key) and item is not None else item


def _masked(match: re.Match[str]) -> str:
    kept = match["scheme"] or match["url"] or match["pair"] or ""
    return kept + MASK

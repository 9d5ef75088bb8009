"""Filters of the pages of access sessions: how long, why it ended, where in a recording."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from jit.kernel.text import visible
from jit.web.templatetags.pages import clock_left
from sessions.models import AccessSession

register = template.Library()

BECAUSE = MappingProxyType(
    {
        "logout": "its person left",
        "expired": "the grant's time was over",
        "revoked": "its grant ended early",
        "terminated": "it was terminated",
        "lost": "its line was lost",
    }
)
DOORS = MappingProxyType({"ssh": "ssh", "web": "web terminal", "postgresql": "PostgreSQL client"})
TIERS = MappingProxyType(
    {
        "exact": ("Exact", "ok", "part of the protocol: certain and complete"),
        "executed": ("Executed", "ok", "the target's kernel or server told"),
        "typed": ("Typed", "warn", "told by the shell, which its user can silence"),
        "guessed": ("Guessed", "calm", "read off what was shown"),
    }
)


@register.filter
def because(code: str) -> str:
    return BECAUSE.get(code, code)


@register.filter
def door(code: str) -> str:
    return DOORS.get(code, code)


@register.filter
def lasted(session: AccessSession) -> int:
    """Return the whole seconds a session has lasted, up to now for one that is live."""
    return int(((session.closed_at or timezone.now()) - session.opened_at).total_seconds())


@register.filter
def is_open(session: AccessSession) -> bool:
    return session.closed_at is None


@register.filter
def seconds(milliseconds: int) -> str:
    """Return milliseconds as decimal seconds, as a player takes them."""
    return f"{milliseconds / 1000:.3f}"


@register.filter
def clock_at(milliseconds: int) -> str:
    """Return a place in a recording as `4:05`."""
    return clock_left(milliseconds // 1000)


@register.filter
def parameters(told: Any) -> list[str]:
    """Return a statement's parameters as text."""
    if not isinstance(told, list):
        return [str(told)] if told else []
    return ["NULL" if one is None else str(one) for one in told]


@register.simple_tag
def tier(code: str) -> SafeString:
    """Draw how sure a command is."""
    word, tone, meaning = TIERS.get(code, (code, "calm", ""))
    return format_html('<span class="pill tone-{}" title="{}">{}</span>', tone, meaning, word)


@register.filter
def hit(text: str, words: str) -> SafeString:
    """Return a line with each place that holds `words` marked; all of it escaped."""
    plain = visible(text)
    if not words:
        return escape(plain)
    parts = re.split(f"({re.escape(words)})", plain, flags=re.IGNORECASE)
    marked = (
        f"<mark>{escape(part)}</mark>" if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )
    return mark_safe("".join(marked))  # noqa: S308 -- every part was escaped just now

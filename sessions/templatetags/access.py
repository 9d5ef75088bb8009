"""Filters of the pages of access sessions: how long, why it ended, through which door."""

from __future__ import annotations

from types import MappingProxyType

from django import template
from django.utils import timezone

from sessions.models import AccessSession

register = template.Library()

BECAUSE = MappingProxyType(
    {
        "logout": "its person left",
        "expired": "the grant's time was over",
        "revoked": "the grant was taken back",
        "terminated": "it was terminated",
        "lost": "its line was lost",
    }
)
DOORS = MappingProxyType({"ssh": "ssh", "web": "web terminal", "postgresql": "PostgreSQL client"})


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

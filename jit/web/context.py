"""What every page's frame needs: who is here, where they may go, how they like to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import SimpleLazyObject

from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.web import waits

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Door:
    """One entry of the navigation. `here` lists the first parts of the addresses behind it."""

    label: str
    icon: str
    name: str
    here: tuple[str, ...]
    permission: Permission | None = None
    count: str = ""
    """Which of `waits` is shown beside it."""


DOORS = (
    Door("Home", "home", "home", ("",)),
    Door("Request a role", "plus", "request-new", ("request",)),
    Door("Inbox", "inbox", "approvals:inbox", ("inbox",), count="asks"),
    Door("Notifications", "bell", "notifications", ("notifications",), count="unread"),
    Door("Requests", "list", "requests", ("requests",)),
    Door("Grants", "key", "grants", ("grants",)),
    Door("Sessions", "terminal", "sessions:list", ("sessions",)),
    Door("Reviews", "eye", "reviews", ("reviews",)),
    Door("Tickets", "ticket", "tickets", ("tickets",)),
    Door("Catalogue", "stack", "catalogue", ("catalogue",)),
    Door("Policy", "scale", "policy", ("policy",), Permission.POLICY_READ),
    Door("Audit", "shield", "audit", ("audit",), Permission.AUDIT_READ),
)


def chrome(request: HttpRequest) -> dict[str, Any]:
    """Return the frame's part of a template's context.

    Reads nothing of a stranger: an error page must be drawable when the database is away.
    """
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    inside = bool(user is not None and user.is_authenticated)
    return {
        "theme": theme if theme in THEMES else "",
        "embedded": settings.EMBEDDED,
        "inside": inside,
        "doors": list(_doors(request)) if inside else [],
        # Asked when it is drawn, once: parts of pages have no frame.
        "waits": SimpleLazyObject(lambda: waits.of(cast("User", user))) if inside else None,
        "reference": getattr(request, "request_id", ""),
    }


def _doors(request: HttpRequest) -> list[dict[str, Any]]:
    first = request.path.strip("/").partition("/")[0]
    found = []
    for door in DOORS:
        if door.permission and not permissions.has(request.user, door.permission):
            continue
        try:
            address = reverse(door.name)
        except NoReverseMatch:  # a wing that is not installed has no door
            continue
        found.append(
            {
                "label": door.label,
                "icon": door.icon,
                "url": address,
                "current": first in door.here,
                "count": door.count,
            }
        )
    return found

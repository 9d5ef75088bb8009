"""The web terminal's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_GET

from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.web.htmx import PageRequest, page
from jit.workflow.credential import NotYourCredential, record_of
from sessions.views import csp

KEYS = (
    ("escape", "Esc"),
    ("tab", "Tab"),
    ("ctrl-c", "Ctrl+C"),
    ("ctrl-d", "Ctrl+D"),
    ("left", "←"),
    ("up", "↑"),
    ("down", "↓"),
    ("right", "→"),
)
"""What a phone's keyboard lacks."""


@require_GET
@csp_override(csp.TERMINAL)
@page()
def terminal(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Show the terminal of one's own grant, or first ask for the host where there are many."""
    return render(request, "sessions/terminal.html", _context(request, grant_id))


@require_GET
@page()
def bar(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Draw the bar above the terminal again: what of the grant changed meanwhile."""
    return render(request, "sessions/_terminal_bar.html", _context(request, grant_id))


def _context(request: PageRequest, grant_id: UUID) -> dict[str, Any]:
    grant = elevation.grant_visible_to(request.user, grant_id)
    if grant.user_id != request.user.pk:
        raise NotYourCredential("A terminal opens for the person who asked for the grant only.")
    hosts = _hosts(grant)
    asked = request.GET.get("host", "")
    host = asked if asked in hosts else (hosts[0] if len(hosts) == 1 else "")
    return {
        "grant": grant,
        "hosts": hosts,
        "host": host,
        "usable": grant.state == GrantState.ACTIVE,
        "gateway": grant.target.kind == "ssh" and "ssh" in settings.GATEWAYS,
        "recorded": record_of(grant) != "none",
        "keys": KEYS,
    }


def _hosts(grant: Grant) -> list[str]:
    return [str(host.get("name", "")) for host in grant.target.config.get("hosts", [])]

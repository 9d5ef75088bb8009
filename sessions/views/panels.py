"""What other pages show of sessions: a request's on its timeline, a grant's on its card."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jit.elevation import queries as elevation
from jit.elevation.states import GrantState
from jit.web.htmx import PageRequest, page
from sessions import queries
from sessions.states import OPEN

MOST_SHOWN = 50


@require_GET
@page()
def of_request(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Draw the sessions of one request that this person may see."""
    row = elevation.request_visible_to(request.user, request_id)
    sessions = queries.sessions_of_request(request.user, row.pk)[:MOST_SHOWN]
    return render(request, "sessions/_of_request.html", {"sessions": list(sessions)})


@require_GET
@page()
def of_grant(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Draw what the card of one's own live grant says of sessions: those that are open."""
    grant = elevation.grant_visible_to(request.user, grant_id)
    rows = queries.sessions_visible_to(request.user).filter(grant=grant, state__in=OPEN)
    context = {
        "grant": grant,
        "sessions": list(rows[:MOST_SHOWN]),
        "terminal": grant.state == GrantState.ACTIVE
        and grant.user_id == request.user.pk
        and grant.target.kind == "ssh"
        and "ssh" in settings.GATEWAYS,
    }
    return render(request, "sessions/_of_grant.html", context)

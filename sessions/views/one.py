"""One access session: who, what for, and how it went."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jit.kernel.errors import DomainError
from jit.web.htmx import PageRequest, page
from sessions import queries
from sessions.models import AccessSession
from sessions.states import OPEN


@require_GET
@page()
def one(request: PageRequest, session_id: UUID) -> HttpResponse:
    session = queries.session_visible_to(request.user, session_id)
    return render(request, "sessions/session.html", _context(request, session))


@require_GET
@page()
def head(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Draw the head again: what changes while it lives and when it ends."""
    session = queries.session_visible_to(request.user, session_id)
    return render(request, "sessions/_head.html", _context(request, session))


def _context(request: PageRequest, session: AccessSession) -> dict[str, Any]:
    return {
        "session": session,
        "row": session.grant.request,
        "may_terminate": session.state in OPEN and _may_terminate(request, session),
    }


def _may_terminate(request: PageRequest, session: AccessSession) -> bool:
    try:
        queries.require_may_terminate(request.user, session)
    except DomainError:
        return False
    return True

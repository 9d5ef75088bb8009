"""Ending a live session by a click, with a reason."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from jit.identity.authentication import actor_of
from jit.web.htmx import PageRequest, go, is_part, page
from sessions import queries
from sessions.operations import cutting


@require_POST
@page()
def terminate(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Ask for the end; answers with who asked, and the page hears when it is done."""
    cutting.terminate(
        session_id=session_id,
        user=request.user,
        comment=request.POST.get("reason", ""),
        actor=actor_of(request),
    )
    if not is_part(request):
        return go(request, reverse("sessions:session", args=[session_id]))
    session = queries.session_visible_to(request.user, session_id)
    return render(request, "sessions/_ending.html", {"session": session})

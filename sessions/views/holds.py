"""A legal hold on a session's recording: a panel of its page, for auditors alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.web.htmx import PageRequest, go, is_part, page
from sessions import queries, recordings
from sessions.models import AccessSession
from sessions.recording import queries as recorded
from sessions.recording import retention


def panel(request: PageRequest, session: AccessSession) -> dict[str, Any]:
    """Return what the panel is drawn of."""
    holds = recorded.holds_for(request.user, session)
    held = next((each for each in holds if each.lifted_at is None), None)
    asked = held.release_asked_by if held else None
    return {
        "hold": held,
        "may_lift": not identity.same_person(session.user, request.user)
        and not (asked and identity.same_person(asked, request.user)),
        "lifted": [each for each in holds if each.lifted_at is not None],
        "may_hold": permissions.has(request.user, Permission.SESSION_READ_ALL),
    }


@require_POST
@page()
def hold(request: PageRequest, session_id: UUID) -> HttpResponse:
    return _done(request, session_id, retention.hold)


@require_POST
@page()
def lift(request: PageRequest, session_id: UUID) -> HttpResponse:
    return _done(request, session_id, retention.lift)


def _done(request: PageRequest, session_id: UUID, act: Callable[..., object]) -> HttpResponse:
    """Set or lift a hold, and draw the panel anew."""
    session = queries.session_visible_to(request.user, session_id)
    act(
        session_id=session.pk,
        why=request.POST.get("reason", ""),
        by=request.user,
        actor=actor_of(request),
        now=db.now(),
    )
    if not is_part(request):
        return go(request, reverse("sessions:session", args=[session.pk]))
    context = {
        "session": session,
        "recording": recordings.of(session),
        **panel(request, session),
    }
    return render(request, "sessions/_hold.html", context)

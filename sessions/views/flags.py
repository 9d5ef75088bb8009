"""An auditor's flags on a session: a panel of its page."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.web.htmx import PageRequest, go, is_part, page
from sessions import queries
from sessions.operations import flagging


@require_POST
@page()
def flag(request: PageRequest, session_id: UUID) -> HttpResponse:
    flagging.flag(
        session_id=session_id,
        user=request.user,
        comment=request.POST.get("comment", ""),
        actor=actor_of(request),
    )
    return _panel(request, session_id)


@require_POST
@page()
def settle(request: PageRequest, session_id: UUID, flag_id: UUID) -> HttpResponse:
    flagging.settle(
        session_id=session_id,
        flag_id=flag_id,
        user=request.user,
        comment=request.POST.get("comment", ""),
        actor=actor_of(request),
    )
    return _panel(request, session_id)


def _panel(request: PageRequest, session_id: UUID) -> HttpResponse:
    if not is_part(request):
        return go(request, reverse("sessions:session", args=[session_id]))
    session = queries.session_visible_to(request.user, session_id)
    context = {
        "session": session,
        "flags": list(queries.flags_of(session)),
        "may_flag": permissions.has(request.user, Permission.SESSION_READ_ALL),
        "may_settle": not identity.same_person(session.user, request.user),
    }
    return render(request, "sessions/_flags.html", context)

"""One access session: who, what for, how it went, and its playback or live picture."""

from __future__ import annotations

import contextlib
import re
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_GET

from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.permissions import Permission
from jit.kernel.errors import NotAllowed
from jit.web.htmx import PageRequest, page
from sessions import queries, recordings
from sessions.models import AccessSession
from sessions.states import OPEN, SessionState
from sessions.views import csp, holds

SPEEDS = ("0.5", "1", "2", "4", "8")
PROBLEMS = 20
_SECONDS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,6})?")


@require_GET
@csp_override(csp.PLAYER)
@page()
def one(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Show one session; `t` is the second to begin at, `q` words to look for in its text."""
    session = queries.session_visible_to(request.user, session_id)
    context = {
        **_context(request, session),
        **_stage(request, session),
        "flags": list(queries.flags_of(session)),
        "may_flag": permissions.has(request.user, Permission.SESSION_READ_ALL),
        "may_settle": not identity.same_person(session.user, request.user),
        **holds.panel(request, session),
    }
    return render(request, "sessions/session.html", context)


@require_GET
@csp_override(csp.PLAYER)
@page()
def stage(request: PageRequest, session_id: UUID) -> HttpResponse:
    """Draw the replay in the place of the live picture, once the session is sealed; until then
    there is nothing new to draw.
    """
    session = queries.session_visible_to(request.user, session_id)
    if session.state != SessionState.SEALED:
        return HttpResponse(status=204)
    context = {**_context(request, session), **_stage(request, session)}
    return render(request, "sessions/_stage.html", context)


def _stage(request: PageRequest, session: AccessSession) -> dict[str, Any]:
    recording = recordings.of(session)
    problems = recording.problems if recording else []
    start = request.GET.get("t", "")
    live = session.state in OPEN
    return {
        "recording": recording,
        "problems": problems[:PROBLEMS],
        "more_problems": max(len(problems) - PROBLEMS, 0),
        "playable": recording is not None and recording.deleted_at is None,
        "live": live,
        "watch": live and request.GET.get("watch") == "1",
        "speeds": SPEEDS,
        "start_at": start if _SECONDS.fullmatch(start) else "",
        "q": request.GET.get("q", "").strip().replace("\0", "")[:200],
    }


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
    with contextlib.suppress(NotAllowed):
        queries.require_may_terminate(request.user, session)
        return True
    return False

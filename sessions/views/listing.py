"""The list of access sessions: the live ones first, then what was."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jit.identity import permissions
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel.errors import InvalidInput
from jit.web import paging
from jit.web.htmx import PageRequest, is_part, page
from sessions import finding, queries
from sessions.states import OPEN, SessionState
from sessions.views.filters import Filters

MOST_LIVE = 100
MOST_FOUND = 50


@require_GET
@page()
def listing(request: PageRequest) -> HttpResponse:
    """List the sessions one may see."""
    filters = Filters.from_query(request.GET)
    if filters.q:
        return _found(request, filters)
    after = request.GET.get("after", "")
    rows = queries.filter_sessions(queries.sessions_visible_to(request.user), **filters.narrowing())
    live = [] if after else list(rows.filter(state__in=OPEN)[: MOST_LIVE + 1])
    found = paging.newest_first(rows.exclude(state__in=OPEN), after=after, field="opened_at")
    context: dict[str, Any] = {
        "filters": filters,
        "live": live[:MOST_LIVE],
        "more_live": len(live) > MOST_LIVE,
        "rows": found.rows,
        "next": found.next,
        **_frame(request),
    }
    template = "sessions/_list.html" if is_part(request) else "sessions/list.html"
    return render(request, template, context)


def _found(request: PageRequest, filters: Filters) -> HttpResponse:
    """List what was typed and shown, where it holds the words."""
    context: dict[str, Any] = {"filters": filters, "searched": True, **_frame(request)}
    try:
        context["found"] = finding.find(
            user=request.user,
            q=filters.q,
            narrowing=filters.narrowing(),
            most=MOST_FOUND,
            actor=actor_of(request),
        )
    except InvalidInput as refusal:
        context["problem"] = refusal
    status = context["problem"].status if "problem" in context else 200
    return render(request, "sessions/list.html", context, status=status)


def _frame(request: PageRequest) -> dict[str, Any]:
    return {
        "states": [state.value for state in SessionState],
        "sees_all": permissions.has(request.user, Permission.SESSION_READ_ALL),
    }

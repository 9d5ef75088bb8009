"""One's requests, and one request whole: from ticket to proof of revocation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from jit.audit import queries as audit
from jit.audit.actions import Action
from jit.audit.operations import Subject
from jit.elevation import queries
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity.authentication import actor_of
from jit.kernel import clock
from jit.notifications import operations as notifications
from jit.policy import weighed
from jit.web import paging, rulings
from jit.web.htmx import PageRequest, go, is_part, page
from jit.workflow import access, lapse
from jit.workflow.ports import approvals

STATES = ("PENDING", "APPROVED", "DENIED", "WITHDRAWN", "LAPSED")


@require_GET
@page()
def requests(request: PageRequest) -> HttpResponse:
    """List the requests one may see; `mine` are one's own."""
    wanted: dict[str, Any] = {
        name: request.GET.get(name, "").strip().replace("\0", "")[:100]
        for name in ("state", "requester", "role", "ticket")
    }
    mine = request.GET.get("whose", "mine") != "all"
    if mine:
        wanted["requester"] = request.user.username
    rows = queries.filter_requests(queries.requests_visible_to(request.user), **wanted)
    found = paging.newest_first(rows, after=request.GET.get("after", ""))
    chains = approvals().describe(requests=found.rows)
    context = {
        "rows": [(row, chains.get(row.pk)) for row in found.rows],
        "next": found.next,
        "states": STATES,
        "wanted": wanted,
        "mine": mine,
    }
    part = is_part(request)
    template = "jit/requests/_list.html" if part else "jit/requests/list.html"
    return render(request, template, context)


@require_GET
@page()
def detail(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Show a request whole; whoever looks at it need not be told of it any more."""
    row = queries.request_visible_to(request.user, request_id)
    subject = Subject(type="request", id=str(row.pk), label="")
    notifications.mark_read_about(user=request.user, subject=subject, now=clock.now())
    return render(request, "jit/requests/detail.html", _whole(request, row))


@require_GET
@page()
def part(request: PageRequest, request_id: UUID, name: str) -> HttpResponse:
    """Draw one part of a request's page again: its `head`, its `grant` or its `events`."""
    row = queries.request_visible_to(request.user, request_id)
    context = _events(row) if name == "events" else _whole(request, row)
    return render(request, f"jit/requests/_{name}.html", context)


@require_POST
@page()
def withdraw(request: PageRequest, request_id: UUID) -> HttpResponse:
    queries.request_visible_to(request.user, request_id)
    lapse.withdraw(request_id=request_id, user=request.user, actor=actor_of(request))
    return go(request, reverse("request", args=[request_id]))


def _whole(request: PageRequest, row: ElevationRequest) -> dict[str, Any]:
    grant = getattr(row, "grant", None)
    own = row.requester_id == request.user.pk
    return {
        "row": row,
        "own": own,
        "grant": grant,
        "attempts": list(grant.attempts.all()) if grant else [],
        "may_revoke": grant is not None and not own and access.may_revoke(request.user, grant),
        "extensions": list(queries.extensions_of(grant)) if grant else [],
        "why_withdrawn": audit.why(row.pk, Action.REQUEST_WITHDRAWN)
        if row.state == RequestState.WITHDRAWN
        else "",
        "review": getattr(row, "after_review", None),
        "sentences": rulings.glass_sentences(row.ruling)
        if row.break_glass
        else rulings.sentences(row.ruling),
        "conditions": rulings.conditions(weighed.weighed(row.ruling)),
    }


def _events(row: ElevationRequest) -> dict[str, Any]:
    return {"row": row, "events": audit.timeline_of_request(row.pk)}

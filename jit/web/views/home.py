"""The start page: what I hold now, what waits for me, what I asked for lately."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jit.elevation import queries
from jit.web.htmx import PageRequest, page

RECENT = 8


@require_GET
@page()
def home(request: PageRequest) -> HttpResponse:
    return render(request, "jit/home/home.html", _mine(request))


@require_GET
@page()
def part(request: PageRequest, name: str) -> HttpResponse:
    """Draw one part of the start page again: what is `held`, or the `recent` requests."""
    return render(request, f"jit/home/_{name}.html", _mine(request))


def _mine(request: PageRequest) -> dict[str, object]:
    return {
        "grants": list(queries.live_grants_of(request.user)),
        "recent": list(queries.recent_of(request.user, RECENT)),
    }

"""After-reviews: confirm that a use was right, or flag it, by a deadline."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from jit.elevation import queries
from jit.elevation.states import ReviewState
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.web.htmx import PageRequest, go, is_part, page
from jit.workflow import break_glass

HISTORY = 50


@require_GET
@page()
def reviews(request: PageRequest) -> HttpResponse:
    """List open reviews by deadline, then those answered lately."""
    rows = queries.reviews_visible_to(request.user)
    now = clock.now()
    context = {
        "open": list(rows.filter(state=ReviewState.OPEN).order_by("due_at", "id")[:200]),
        "closed": list(
            rows.exclude(state=ReviewState.OPEN).order_by("-closed_at", "-id")[:HISTORY]
        ),
        "now": now,
        "person_id": request.user.person_id,
    }
    part = is_part(request)
    template = "jit/reviews/_list.html" if part else "jit/reviews/reviews.html"
    return render(request, template, context)


@require_POST
@page(Permission.REQUEST_DECIDE)
def answer(request: PageRequest, review_id: UUID) -> HttpResponse:
    break_glass.review(
        review_id=review_id,
        reviewer=request.user,
        flag=request.POST.get("answer") == "flag",
        comment=request.POST.get("comment", ""),
        actor=actor_of(request),
        now=clock.now(),
    )
    return go(request, reverse("reviews"))


@require_POST
@page()
def file_ticket(request: PageRequest, request_id: UUID) -> HttpResponse:
    """File the ticket that a break-glass promised."""
    break_glass.file_ticket(
        request_id=request_id,
        user=request.user,
        reference=request.POST.get("ticket", ""),
        actor=actor_of(request),
        now=clock.now(),
    )
    return go(request, reverse("request", args=[request_id]))

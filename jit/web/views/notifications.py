"""What one is told, what one wants to be told, and what became of it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jit.elevation import queries as elevation
from jit.kernel import clock
from jit.kernel.errors import InvalidInput
from jit.notifications import kinds, operations, queries
from jit.web import paging
from jit.web.htmx import PageRequest, go, is_part, page

CHANNEL_NAMES = {
    kinds.IN_APP: "These pages",
    kinds.EMAIL: "E-mail",
    kinds.TICKET: "Comment",
    "slack": "Slack",
}
MOST_SHOWN = 300


@require_GET
@page()
def inbox(request: PageRequest) -> HttpResponse:
    """List one's notifications, newest first; all, or those not yet read."""
    unread = request.GET.get("show") == "unread"
    rows = queries.inbox_of(request.user, unread=unread)
    found = paging.newest_first(rows, after=request.GET.get("after", ""))
    context = {
        "rows": [(row, queries.words_of(row, request.user)) for row in found.rows],
        "next": found.next,
        "unread_only": unread,
        "unread": queries.unread_count(request.user),
    }
    part = is_part(request)
    template = "jit/notifications/_page.html" if part else "jit/notifications/list.html"
    return render(request, template, context)


@require_POST
@page()
def read(request: PageRequest) -> HttpResponse:
    """Mark one notification as read; without an id, all of them."""
    given = request.POST.get("id", "")
    try:
        wanted = [UUID(given)] if given else None
    except ValueError:
        raise InvalidInput("That is no notification of ours.") from None
    operations.mark_read(user=request.user, ids=wanted, now=clock.now())
    return go(request, reverse("notifications"))


@require_GET
@page()
def bell(request: PageRequest) -> HttpResponse:
    """Draw how much waits, for every page's frame; reads itself again on a hint."""
    return render(request, "components/_bell.html")


@require_http_methods(["GET", "POST"])
@page()
def preferences(request: PageRequest) -> HttpResponse:
    """Choose what one hears of by kind and channel; the inbox is always on."""
    choices = queries.preferences_of(request.user)
    names = list(choices[0].wanted)
    if request.method == "POST":
        ticked = set(request.POST.getlist("wanted"))
        operations.set_preferences(
            user=request.user,
            wanted={
                choice.kind.value: {
                    name: f"{choice.kind} {name}" in ticked
                    for name in names
                    if name != kinds.IN_APP
                }
                for choice in choices
            },
        )
        messages.success(request, "Your choice is kept.")
        return redirect("account-notifications")
    context = {
        "channels": [(name, CHANNEL_NAMES.get(name, name)) for name in names],
        "choices": [
            (choice, [(name, f"{choice.kind} {name}", choice.wanted[name]) for name in names])
            for choice in choices
        ],
        "always": kinds.IN_APP,
        "address": request.user.email,
    }
    return render(request, "jit/notifications/preferences.html", context)


@require_GET
@page()
def deliveries(request: PageRequest, request_id: UUID) -> HttpResponse:
    """Draw who was told of a request, through what, and whether it arrived."""
    elevation.request_visible_to(request.user, request_id)
    rows = list(queries.deliveries_of_request(request_id)[: MOST_SHOWN + 1])
    context = {
        "rows": [(row, CHANNEL_NAMES.get(row.channel, row.channel)) for row in rows[:MOST_SHOWN]],
        "more": len(rows) > MOST_SHOWN,
    }
    return render(request, "components/_deliveries.html", context)

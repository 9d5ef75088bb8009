"""The built-in tracker's pages: list, open, edit, close."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jit.identity.authentication import actor_of
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.tickets import operations, queries
from jit.tickets.models import LocalTicket
from jit.web import paging
from jit.web.forms import TicketForm
from jit.web.htmx import PageRequest, page

FIELDS = ("title", "severity", "description", "assignee", "service", "type")


@require_GET
@page()
def tickets(request: PageRequest) -> HttpResponse:
    status = request.GET.get("status", "OPEN")
    if status not in {"OPEN", "CLOSED", ""}:
        status = "OPEN"
    q = request.GET.get("q", "")[:300]
    rows = queries.filter_tickets(queries.tickets_visible_to(request.user), status=status, q=q)
    context = {"rows": list(rows[: paging.PER_PAGE]), "status": status, "q": q}
    return render(request, "jit/tickets/tickets.html", context)


@require_http_methods(["GET", "POST"])
@page()
def new(request: PageRequest) -> HttpResponse:
    problem: DomainError | None = None
    if request.method == "POST":
        try:
            ticket = operations.open_ticket(
                **TicketForm(request.POST).fields_given(), actor=actor_of(request), now=clock.now()
            )
        except DomainError as refusal:
            problem = refusal
        else:
            messages.success(request, f"{ticket.key} is open.")
            return redirect("ticket", key=ticket.key)
    values = {name: request.POST.get(name, "") for name in FIELDS}
    return _form(request, values, problem, ticket=None)


@require_http_methods(["GET", "POST"])
@page()
def ticket(request: PageRequest, key: str) -> HttpResponse:
    """Show a ticket; while it is open, change it."""
    row = queries.ticket_visible_to(request.user, key)
    problem: DomainError | None = None
    values = {name: getattr(row, name) for name in FIELDS}
    if request.method == "POST":
        try:
            operations.edit_ticket(
                ticket=row,
                changes=TicketForm(request.POST).fields_given(),
                user=request.user,
                actor=actor_of(request),
                now=clock.now(),
            )
        except DomainError as refusal:
            problem = refusal
            values = {name: request.POST.get(name, "") for name in FIELDS}
        else:
            messages.success(request, f"{row.key} is changed.")
            return redirect("ticket", key=row.key)
    return _form(request, values, problem, ticket=row)


@require_POST
@page()
def close(request: PageRequest, key: str) -> HttpResponse:
    row = queries.ticket_visible_to(request.user, key)
    operations.close_ticket(ticket=row, user=request.user, actor=actor_of(request), now=clock.now())
    messages.success(request, f"{row.key} is closed. Grants that rest on it are looked at now.")
    return redirect("ticket", key=row.key)


def _form(
    request: PageRequest,
    values: dict[str, Any],
    problem: DomainError | None,
    *,
    ticket: LocalTicket | None,
) -> HttpResponse:
    context = {
        "values": values,
        "problem": problem,
        "errors": problem.fields if problem else {},
        "ticket": ticket,
        "comments": list(ticket.comments.all()) if ticket else [],
        "severities": range(1, 6),
        "may_change": ticket is None
        or (ticket.is_open and queries.may_change(request.user, ticket)),
    }
    status = problem.status if problem else 200
    return render(request, "jit/tickets/ticket.html", context, status=status)

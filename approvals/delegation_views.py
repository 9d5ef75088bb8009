"""Who stands in for me, and for whom I stand in: a panel of the account page."""

from __future__ import annotations

import datetime as dt
from typing import cast
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from approvals import delegation
from approvals import delegation_queries as queries
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.authentication import actor_of
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import DomainError, InvalidInput
from jit.web.htmx import page

SHOWN = 50


class DelegationForm(forms.Form):
    delegate = forms.CharField(max_length=150)
    days = forms.IntegerField(min_value=1, max_value=delegation.LONGEST.days)
    reason = forms.CharField(max_length=delegation.LONGEST_REASON)


@page()
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    return _panel(request)


@page()
@require_POST
def delegate(request: HttpRequest) -> HttpResponse:
    """Name a stand-in from now on for some days."""
    user, now, form = cast("User", request.user), clock.now(), DelegationForm(request.POST)
    try:
        if not form.is_valid():
            fields = {name: [str(one) for one in many] for name, many in form.errors.items()}
            raise InvalidInput("Some fields need another look.", fields=fields)
        delegation.delegate(
            delegator=user,
            delegate=identity.find_visible(user, form.cleaned_data["delegate"]),
            starts_at=now,
            ends_at=now + dt.timedelta(days=form.cleaned_data["days"]),
            reason=form.cleaned_data["reason"],
            actor=actor_of(request),
            now=now,
        )
    except DomainError as refusal:
        return _panel(request, refusal)
    return _panel(request)


@page()
@require_POST
def revoke(request: HttpRequest, delegation_id: UUID) -> HttpResponse:
    user = cast("User", request.user)
    delegation.revoke(
        delegation=queries.one_of(user, delegation_id),
        user=user,
        actor=actor_of(request),
        now=clock.now(),
    )
    return _panel(request)


@page()
@require_POST
def accept(request: HttpRequest, delegation_id: UUID) -> HttpResponse:
    user = cast("User", request.user)
    row = queries.offered_to(user, delegation_id)
    try:
        delegation.accept(delegation=row, user=user, actor=actor_of(request), now=clock.now())
    except DomainError as refusal:
        return _panel(request, refusal)
    return _panel(request)


def _panel(request: HttpRequest, refusal: DomainError | None = None) -> HttpResponse:
    user, now = cast("User", request.user), clock.now()
    rows = list(queries.of(user)[:SHOWN])
    current = [row for row in rows if row.revoked_at is None and row.ends_at > now]
    return render(
        request,
        "approvals/_delegations.html",
        {
            "given": [row for row in current if row.delegator_id == user.pk],
            "had": [row for row in current if row.delegate_id == user.pk],
            "everybodys": list(queries.current(now)[:SHOWN])
            if permissions.has(user, Permission.OPERATIONS_READ)
            else [],
            "refusal": refusal,
        },
        status=refusal.status if refusal else 200,
    )

"""One's SSH keys: a panel of the account page."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from jit.identity import step_up
from jit.identity.authentication import actor_of
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.web.forms import unreadable
from jit.web.htmx import PageRequest, page
from sessions import queries
from sessions.operations import keys

SHOWN = 50


class KeyForm(forms.Form):
    name = forms.CharField(max_length=100)
    public_key = forms.CharField(max_length=10_000)
    code = forms.CharField(max_length=40, required=False)


@require_GET
@page()
def show(request: PageRequest) -> HttpResponse:
    return _panel(request)


@require_POST
@page()
def add(request: PageRequest) -> HttpResponse:
    """Register a key; takes a code of the authenticator unless one was given just now."""
    form, now = KeyForm(request.POST), clock.now()
    try:
        if not form.is_valid():
            raise unreadable(form)
        if form.cleaned_data["code"]:
            step_up.confirm(
                request=request, act=keys.ADDING, code=form.cleaned_data["code"], now=now
            )
        step_up.require_fresh(request, act=keys.ADDING, now=now)
        keys.add_key(
            user=request.user,
            name=form.cleaned_data["name"],
            public_key=form.cleaned_data["public_key"],
            actor=actor_of(request),
            now=now,
        )
    except DomainError as refusal:
        return _panel(request, refusal, typed=form.data)
    return _panel(request)


@require_POST
@page()
def remove(request: PageRequest, key_id: UUID) -> HttpResponse:
    keys.remove_key(user=request.user, key_id=key_id, actor=actor_of(request), now=clock.now())
    return _panel(request)


def _panel(
    request: PageRequest, refusal: DomainError | None = None, typed: object = None
) -> HttpResponse:
    context = {
        "keys": list(queries.keys_of(request.user)[:SHOWN]),
        "wants_code": not step_up.passed_for(request, act=keys.ADDING, now=clock.now()),
        "refusal": refusal,
        "typed": typed,
    }
    status = refusal.status if refusal else 200
    return render(request, "sessions/_keys.html", context, status=status)

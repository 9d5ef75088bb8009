"""One's own account: second factor, recovery codes, tokens, sign-ins, time zone."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from jit.audit import queries as audit
from jit.identity import operations, queries, step_up
from jit.identity.authentication import actor_of
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.kernel.errors import DomainError, InvalidInput
from jit.web.forms import TokenForm, unreadable
from jit.web.htmx import PageRequest, page, refused

SIGN_INS = 10
TOKEN_DAYS = (1, 7, 30, 90)


@require_GET
@page()
def account(request: PageRequest) -> HttpResponse:
    return render(request, "jit/account/account.html", _mine(request))


def _mine(request: PageRequest) -> dict[str, Any]:
    user = request.user
    return {
        "person": user,
        "groups": sorted(queries.groups_of(user)),
        "tokens": list(queries.tokens_of(user)[:50]),
        "scopes": [scope.value for scope in Scope],
        "days": TOKEN_DAYS,
        "sign_ins": list(audit.sign_ins_of(user.pk)[:SIGN_INS]),
        "zones": sorted(zoneinfo.available_timezones()),
        "now": clock.now(),
    }


@require_POST
@page()
@sensitive_variables("plain")
def new_token(request: PageRequest) -> HttpResponse:
    """Make a token and show it, this once."""
    now = clock.now()
    form = TokenForm(request.POST, scopes=[scope.value for scope in Scope])
    if not form.is_valid():
        return _again(request, unreadable(form))
    values = form.cleaned_data
    try:
        token, plain = operations.create_token(
            user=request.user,
            name=values["name"],
            scopes=values["scopes"],
            expires_at=now + dt.timedelta(days=values["days"] or 0),
            actor=actor_of(request),
            now=now,
        )
    except DomainError as refusal:
        return _again(request, refusal)
    context = {**_mine(request), "new_token": token, "plain": plain}
    return render(request, "jit/account/account.html", context)


@require_POST
@page()
def end_token(request: PageRequest, token_id: str) -> HttpResponse:
    token = queries.own_token(request.user, token_id)
    operations.revoke_token(token=token, actor=actor_of(request), now=clock.now())
    messages.success(request, f"The token {token.name} is revoked.")
    return redirect("account")


@require_POST
@page()
def confirm(request: PageRequest) -> HttpResponse:
    """Give the second factor anew, for a role that wants a fresh one."""
    try:
        step_up.confirm(
            request=request, act="account", code=request.POST.get("code", ""), now=clock.now()
        )
    except DomainError as refusal:
        return _again(request, refusal)
    messages.success(request, "Your second factor is fresh now.")
    return redirect("account")


@require_POST
@page()
@sensitive_variables("codes")
def recovery_codes(request: PageRequest) -> HttpResponse:
    """Show fresh recovery codes, this once; takes a code of the authenticator."""
    now = clock.now()
    try:
        code = request.POST.get("code", "")
        step_up.confirm(request=request, act="recovery-codes", code=code, now=now)
        codes = operations.issue_recovery_codes(user=request.user, actor=actor_of(request), now=now)
    except DomainError as refusal:
        return _again(request, refusal)
    return render(request, "jit/account/account.html", {**_mine(request), "codes": codes})


@require_POST
@page()
def zone(request: PageRequest) -> HttpResponse:
    """Choose the zone in which times are shown."""
    wanted = request.POST.get("timezone", "")
    if wanted not in zoneinfo.available_timezones():
        refusal = InvalidInput("There is no such time zone.", fields={"timezone": ["Unknown."]})
        return _again(request, refusal)
    operations.set_timezone(
        user=request.user, timezone=wanted, actor=actor_of(request), now=clock.now()
    )
    messages.success(request, f"Times are shown in {wanted}.")
    back = request.POST.get("next", "")
    inside = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if inside and back.startswith("/") else "account")


def _again(request: PageRequest, refusal: DomainError) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return refused(request, refusal)
    context = {**_mine(request), "problem": refusal, "errors": refusal.fields}
    return render(request, "jit/account/account.html", context, status=refusal.status)

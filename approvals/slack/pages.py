"""The pages about Slack: linking one's account, and the operators' set-up page."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from approvals.slack import config, delivery, links, manifest, setup
from jit.identity import permissions, step_up
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import DomainError, InvalidInput
from jit.web.htmx import PageRequest, page

ACT = "slack-link"
FRESH = dt.timedelta(minutes=10)


@require_GET
@page()
def link(request: PageRequest) -> HttpResponse:
    """Show whether this person's Slack account is linked, and what is next."""
    return _link_page(request)


@require_GET
@page()
def typed(request: PageRequest) -> HttpResponse:
    """Draw who typed the code, or that nobody did yet."""
    now = clock.now()
    context = {
        "typed": links.typed_code(request.user, now),
        "waits": links.code_waits(request.user, now),
        "wants_otp": _wants_otp(request, now),
    }
    return render(request, "approvals/slack/_typed.html", context)


@require_POST
@page()
@sensitive_variables("code")
def new_code(request: PageRequest) -> HttpResponse:
    """Show a one-use code, this once; takes a fresh second factor."""
    now = clock.now()
    try:
        config.required()
        _require_fresh(request, now)
        code = links.new_code(user=request.user, now=now)
    except DomainError as refusal:
        return _link_page(request, refusal=refusal)
    return _link_page(request, code=code)


@require_POST
@page()
def confirm(request: PageRequest) -> HttpResponse:
    """Bind the Slack account that typed the code."""
    now = clock.now()
    try:
        _require_fresh(request, now)
        found = links.confirm(
            user=request.user,
            code_id=_uuid(request.POST.get("code_id", "")),
            actor=actor_of(request),
            now=now,
        )
    except DomainError as refusal:
        return _link_page(request, refusal=refusal)
    messages.success(request, f"Slack account {found.slack_user_id} is yours here now.")
    return redirect("approvals:slack-link")


@require_POST
@page()
def unlink(request: PageRequest) -> HttpResponse:
    if links.unlink(user=request.user, actor=actor_of(request), now=clock.now()):
        messages.success(request, "Your Slack account is linked no more.")
    return redirect("approvals:slack-link")


def _require_fresh(request: PageRequest, now: dt.datetime) -> None:
    """Take the code of the form, or a second factor given a few minutes ago."""
    otp = request.POST.get("otp", "")
    if otp:
        step_up.confirm(request=request, act=ACT, code=otp, now=now)
        return
    at = request.second_factor_at
    if at is None or not dt.timedelta(0) <= now - at < FRESH:
        step_up.require_fresh(request, act=ACT, now=now, max_age=FRESH)


def _wants_otp(request: PageRequest, now: dt.datetime) -> bool:
    at = request.second_factor_at
    return at is None or now - at >= FRESH


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInput("This form is out of date: make a new code.") from None


def _link_page(
    request: PageRequest, *, code: str = "", refusal: DomainError | None = None
) -> HttpResponse:
    now = clock.now()
    context: dict[str, Any] = {
        "on": config.current() is not None,
        "link": links.link_of(request.user),
        "typed": links.typed_code(request.user, now),
        "code": code,
        "minutes": int(links.CODE_LIFE.total_seconds() // 60),
        "wants_otp": _wants_otp(request, now),
        "may_set_up": permissions.has(request.user, Permission.OPERATIONS_READ),
        "problem": refusal,
    }
    status = refusal.status if refusal else 200
    return render(request, "approvals/slack/link.html", context, status=status)


# --- For operators ---------------------------------------------------------------------


@require_GET
@page(Permission.OPERATIONS_READ)
def set_up(request: PageRequest) -> HttpResponse:
    """Check token, scopes and signing secret, and offer the manifest."""
    return _set_up_page(request)


@require_POST
@page(Permission.OPERATIONS_READ)
def test_message(request: PageRequest) -> HttpResponse:
    """Post a test message to the operator's own conversation."""
    try:
        config.required()
        delivery.post_test(user=request.user)
    except DomainError as refusal:
        return _set_up_page(request, refusal=refusal)
    messages.success(request, "Posted: look at your messages in Slack.")
    return redirect("approvals:slack-set-up")


def _set_up_page(request: PageRequest, *, refusal: DomainError | None = None) -> HttpResponse:
    found = config.current()
    context = {
        "on": found is not None,
        "findings": setup.findings(actor=actor_of(request), now=clock.now()),
        "manifest": manifest.as_yaml(
            base_url=config.page(""), socket_mode=bool(found and found.app_token)
        ),
        "problem": refusal,
    }
    return render(
        request,
        "approvals/slack/set_up.html",
        context,
        status=refusal.status if refusal else 200,
    )

"""Signing in: the password, then the code; at the first time, the authenticator's set-up."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from jit.identity import own_browser, queries, sign_in
from jit.identity.operations import AlreadyEnrolled
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.web.htmx import go, page

NEXT = "jit_next"


def _back_to(request: HttpRequest, address: str) -> str:
    """Return `address` if it is one of ours, else the start page."""
    ours = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if ours and address.startswith("/") else reverse("home")


@never_cache
@require_http_methods(["GET", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """Ask for name and password; on to the code or, for a first time, to the set-up."""
    following = request.POST.get("next") or request.GET.get("next") or ""
    if request.user.is_authenticated:
        return HttpResponseRedirect(_back_to(request, following))
    username, problem, status = "", None, 200
    if request.method == "POST":
        username = request.POST.get("username", "")[:100]
        try:
            user = sign_in.begin(
                request=request,
                username=username,
                password=request.POST.get("password", ""),
                now=clock.now(),
            )
        except DomainError as refusal:
            problem, status = refusal, refusal.status
        else:
            request.session[NEXT] = _back_to(request, following)
            return redirect("sign-in-code" if queries.has_second_factor(user) else "sign-in-enrol")
    context = {"username": username, "problem": problem, "next": following}
    return render(request, "jit/sign_in/password.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code of the authenticator, or a recovery code."""
    now = clock.now()
    user = sign_in.pending_user(request=request, now=now)
    if user is None:
        return redirect("sign-in")
    if not queries.has_second_factor(user):
        return redirect("sign-in-enrol")
    problem, status = None, 200
    if request.method == "POST":
        following = request.session.get(NEXT, "")
        try:
            sign_in.finish(request=request, code=request.POST.get("code", ""), now=now)
        except DomainError as refusal:
            problem, status = refusal, refusal.status
        else:
            answer = HttpResponseRedirect(_back_to(request, following))
            own_browser.remember(answer, user)
            return answer
    context = {"person": user, "problem": problem}
    return render(request, "jit/sign_in/code.html", context, status=status)


@never_cache
@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """Set up the authenticator of somebody who has none, then show the recovery codes once."""
    now = clock.now()
    user = sign_in.pending_user(request=request, now=now)
    if user is None:
        return redirect("sign-in")
    problem, status = None, 200
    following = request.session.get(NEXT, "")
    try:
        if request.method == "POST":
            codes = sign_in.finish_enrolment(
                request=request, code=request.POST.get("code", ""), now=now
            )
            shown = {"codes": codes, "next": _back_to(request, following)}
            answer = render(request, "jit/sign_in/recovery_codes.html", shown)
            own_browser.remember(answer, user)
            return answer
    except DomainError as refusal:
        problem, status = refusal, refusal.status
    try:
        enrolment = sign_in.enrolment(request=request, now=now)
    except AlreadyEnrolled:
        return redirect("sign-in-code")
    context = {
        "person": user,
        "problem": problem,
        "secret": enrolment.secret,
        "uri": enrolment.uri,
        "picture": mark_safe(enrolment.svg),  # noqa: S308 -- drawn by segno from our own text
    }
    return render(request, "jit/sign_in/enrol.html", context, status=status)


@require_POST
@page()
def sign_out(request: HttpRequest) -> HttpResponse:
    sign_in.sign_out(request=request, now=clock.now())
    messages.success(request, "You are signed out.")
    return go(request, reverse("sign-in"))

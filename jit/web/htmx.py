"""One door for all pages: who may come in, in whose time zone, and what becomes of a refusal."""

from __future__ import annotations

import functools
import json
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, cast
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from jit.identity import permissions
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import DomainError

_TITLES = {403: "This is not yours to open", 404: "There is nothing here"}

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


class PageRequest(HttpRequest):
    """A request whose person is known to be signed in; for the type checker only."""

    user: User
    htmx: Any
    second_factor_at: Any


def page[**P](
    permission: Permission | None = None,
) -> Callable[[Callable[Concatenate[Any, P], HttpResponseBase]], View[P]]:
    """Return a decorator for a view that only signed-in people see, and of them, where
    `permission` is given, only its holders. Times are drawn in the person's zone; a DomainError
    becomes a page, or beside a form the refusal, with its own status; a redirect moves the page
    that asked, where htmx would follow it by itself and draw a whole page inside a part.
    """

    def decorate(view: Callable[Concatenate[Any, P], HttpResponseBase]) -> View[P]:
        @functools.wraps(view)
        def inner(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not isinstance_user(request):
                return to_sign_in(request)
            if permission is not None and not permissions.has(request.user, permission):
                raise PermissionDenied
            with timezone.override(zone_of(request)):
                try:
                    response = view(request, *args, **kwargs)
                except DomainError as refusal:
                    response = refused(request, refusal)
            if isinstance(response, HttpResponseRedirect):
                response = go(request, response.url)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        inner.page_permission = permission  # type: ignore[attr-defined]  # what tests ask for
        return cast("View[P]", inner)

    return decorate


def isinstance_user(request: HttpRequest) -> bool:
    """Return whether the request's person is signed in, second factor and all."""
    return request.user.is_authenticated


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """Return the person's time zone; UTC where its name is not known here."""
    try:
        return zoneinfo.ZoneInfo(getattr(request.user, "timezone", "UTC"))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


def is_part(request: HttpRequest) -> bool:
    """Return whether htmx asks for a part of a page."""
    return bool(getattr(request, "htmx", False)) and not request.headers.get("HX-Boosted")


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Lead to the sign-in page and, once signed in, back to a page that was being read."""
    address = reverse(settings.LOGIN_URL) if "/" not in settings.LOGIN_URL else settings.LOGIN_URL
    if request.method == "GET" and not is_part(request):
        return HttpResponseRedirect(f"{address}?{urlencode({'next': request.get_full_path()})}")
    if is_part(request):
        response = HttpResponse(status=401)
        response.headers["HX-Redirect"] = address
        return response
    return HttpResponseRedirect(address)


def go(request: HttpRequest, address: str) -> HttpResponse:
    """Send the browser on: a redirect for it, a header for htmx."""
    if is_part(request):
        response = HttpResponse(status=204)
        response.headers["HX-Redirect"] = address
        return response
    return HttpResponseRedirect(address)


def say(response: HttpResponse, text: str) -> HttpResponse:
    """Let the page say `text` once this answer is there: only an answer that knows what was done
    says so, never the browser, which sees no more than that some answer came.
    """
    response.headers["HX-Trigger"] = json.dumps({"said": text})
    return response


def refused(request: HttpRequest, refusal: DomainError) -> HttpResponse:
    """Draw a refusal: for htmx the sentence that goes beside the form, else a page."""
    if is_part(request):
        found = {"title": refusal.title, "code": refusal.code, "detail": refusal.detail}
        return problem(request, {**found, "extra": refusal.extra}, status=refusal.status)
    words = {
        "title": refusal.title or _TITLES.get(refusal.status, "That did not go through"),
        "what": refusal.detail,
        "todo": "",
        "problem": refusal,
        "status": refusal.status,
    }
    return render(request, "errors/error.html", words, status=refusal.status)


def problem(request: HttpRequest, found: Mapping[str, Any], *, status: int) -> HttpResponse:
    """Draw `found` (title, code, detail, extra), the refusal of a form: the page puts it where
    that form has a place for it.
    """
    response = render(request, "components/_problem.html", {"problem": found}, status=status)
    response.headers["JIT-Problem"] = found["code"]
    return response

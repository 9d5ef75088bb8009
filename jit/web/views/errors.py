"""The pages for when something went wrong: what happened, what to do, and a reference.

An address of the REST interface that leads to no resource is answered here too, as a program
expects it: the interface itself never saw the call.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from jit.web import htmx

_CODES = {400: "InvalidInput", 403: "NotAllowed", 404: "NotFound", 500: "BrokenHere"}
_FOR_PROGRAMS = {
    404: "No resource has this address. Addresses end with a slash; /api/v1/schema/ lists them.",
}


def _problem(request: HttpRequest, status: int, *, title: str, detail: str) -> HttpResponse:
    """Answer a program by problem+json (RFC 9457)."""
    body = {
        "type": f"urn:jit:problem:{_CODES[status]}",
        "title": title,
        "status": status,
        "code": _CODES[status],
        "detail": _FOR_PROGRAMS.get(status, detail),
        "request_id": getattr(request, "request_id", ""),
    }
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _page(request: HttpRequest, status: int, **words: Any) -> HttpResponse:
    if request.path.startswith("/api/"):
        return _problem(
            request, status, title=words["title"], detail=f"{words['what']} {words['todo']}"
        )
    if htmx.is_part(request):
        return htmx.problem(request, {"code": _CODES[status], **_beside(words)}, status=status)
    return render(request, "errors/error.html", {"status": status, **words}, status=status)


def _beside(words: dict[str, Any]) -> dict[str, str]:
    """Return the page's words as a refusal that is drawn beside a form."""
    return {"title": words["title"], "detail": f"{words['what']} {words['todo']}"}


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(
        request,
        400,
        title="That request can't be read",
        what="The browser sent something this page does not understand.",
        todo="Go back, reload the page and try again.",
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(
        request,
        403,
        title="This is not yours to open",
        what="Your account lacks the permission that this page asks for.",
        todo="If your work needs it, ask an operator to add you to the right group.",
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(
        request,
        404,
        title="There is nothing here",
        what="The address leads to nothing, or to something you may not see.",
        todo="Check the address, or look for it from the start page.",
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a bug. Draws a page that asks the database for nothing: it may be the culprit."""
    if request.path.startswith("/api/"):
        return _problem(
            request,
            500,
            title="Something broke on our side",
            detail="A change happens whole or not at all: look whether yours did before you "
            "send it again. If this stays, tell the operators this request_id: it finds the fault "
            "in the log.",
        )
    return render(
        request,
        "errors/server_error.html",
        {"reference": getattr(request, "request_id", "")},
        status=500,
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 -- Django's signature
    return _page(
        request,
        403,
        title="The form had expired",
        what="It was sent without the mark that proves it came from this site: you signed in "
        "or out in another tab, or cookies are blocked. Nothing was changed.",
        todo="Go back, reload the page and send the form again.",
    )

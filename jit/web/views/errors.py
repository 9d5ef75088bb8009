"""The pages for when something went wrong: what happened, what to do, and a reference."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def _page(request: HttpRequest, status: int, **words: Any) -> HttpResponse:
    return render(request, "errors/error.html", {"status": status, **words}, status=status)


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

"""At the edge: every HTTP request gets an id that its log lines, its tasks and its answer carry."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware

from jit.ops import context

log = logging.getLogger("jit.ops.edge")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})

type Answer = HttpResponseBase
type GetResponse = Callable[[HttpRequest], Answer | Awaitable[Answer]]


class RequestId:
    """Sets `request.request_id` from `X-Request-ID` (or a new one), returns it in the answer's
    header, and writes one line a request. The query string is left out: it may name people.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Answer | Awaitable[Answer]:
        if self._is_async:
            return self._later(request)
        token, started = self._begin(request), time.monotonic()
        try:
            response = self.get_response(request)
            assert isinstance(response, HttpResponseBase)  # noqa: S101 -- for mypy: not the async side
            self._end(request, response, started)
            return response
        finally:
            context.request_id.reset(token)

    async def _later(self, request: HttpRequest) -> Answer:
        token, started = self._begin(request), time.monotonic()
        try:
            answer = self.get_response(request)
            assert isinstance(answer, Awaitable)  # noqa: S101 -- for mypy: not the sync side
            response: Answer = await answer
            self._end(request, response, started)
            return response
        finally:
            context.request_id.reset(token)

    def _begin(self, request: HttpRequest) -> context.Token[str]:
        about = context.accepted(request.headers.get("X-Request-ID"))
        request.request_id = about  # type: ignore[attr-defined] # read by error pages and problems
        return context.request_id.set(about)

    def _end(self, request: HttpRequest, response: Answer, started: float) -> None:
        response.headers["X-Request-ID"] = context.request_id.get()
        if request.path in _QUIET:
            return
        spent = round((time.monotonic() - started) * 1000)
        log.info(
            "%s %s %s",
            request.method,
            request.path,
            response.status_code,
            extra={"status": response.status_code, "milliseconds": spent},
        )


class CompleteAddresses(CommonMiddleware):
    """Django's own, which sends whoever left out the last slash to the whole address; but not
    with a POST: the browser or program would follow with a GET, whose answer reads as success.
    """

    def should_redirect_with_slash(self, request: HttpRequest) -> bool:
        return request.method in {"GET", "HEAD"} and super().should_redirect_with_slash(request)

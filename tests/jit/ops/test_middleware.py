"""The id that a request gets at the edge."""

from __future__ import annotations

import asyncio
import logging

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from jit.ops import context
from jit.ops.middleware import RequestId


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{context.request_id.get()} {request.request_id}")


async def answer_later(request: HttpRequest) -> HttpResponse:
    return answer(request)


@pytest.fixture(params=["sync", "async"])
def ask(request):
    def asked(path: str = "/", **headers: str) -> HttpResponse:
        made = RequestFactory().get(path, headers=headers)
        if request.param == "sync":
            return RequestId(answer)(made)
        return asyncio.run(RequestId(answer_later)(made))

    return asked


class TestRequestId:
    def test_takes_the_caller_s_id_and_returns_it(self, ask) -> None:
        response = ask(**{"X-Request-ID": "edge-4711.abcd"})
        assert response.headers["X-Request-ID"] == "edge-4711.abcd"
        assert response.content == b"edge-4711.abcd edge-4711.abcd"

    @pytest.mark.parametrize(
        "given", ["", "short", "x" * 129, "a b c d e f g h", "abcdefgh\u00e9", "<script>alert(1)"]
    )
    def test_makes_its_own_for_what_may_not_stand_in_a_log(self, ask, given) -> None:
        made = ask(**{"X-Request-ID": given}).headers["X-Request-ID"]
        assert made != given
        assert len(made) == 32

    def test_two_requests_have_two(self, ask) -> None:
        assert ask().headers["X-Request-ID"] != ask().headers["X-Request-ID"]

    def test_forgets_it_afterwards(self, ask) -> None:
        ask()
        assert context.request_id.get() == ""

    def test_writes_a_line_without_the_query(self, ask, caplog) -> None:
        caplog.set_level(logging.INFO, "jit.ops.edge")
        ask("/audit/?q=rita")
        (record,) = caplog.records
        assert record.getMessage() == "GET /audit/ 200"

    def test_is_quiet_about_probes(self, ask, caplog) -> None:
        caplog.set_level(logging.INFO, "jit.ops.edge")
        ask("/livez")
        assert not caplog.records

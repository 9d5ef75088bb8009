"""Who may ask the operational endpoints."""

from __future__ import annotations

import pytest
from django.http import Http404, HttpResponse
from django.test import RequestFactory

from jit.ops import callers


class TestMayAsk:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
    def test_this_machine_may(self, address) -> None:
        assert callers.may_ask(RequestFactory().get("/livez", REMOTE_ADDR=address))

    @pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5", "", "unix:", "::2"])
    def test_others_may_not(self, address) -> None:
        assert not callers.may_ask(RequestFactory().get("/livez", REMOTE_ADDR=address))

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
    def test_a_proxy_on_this_machine_does_not_open_it_to_the_world(self, header) -> None:
        request = RequestFactory().get("/livez", headers={header: "127.0.0.1"})
        assert not callers.may_ask(request)

    @pytest.mark.parametrize(
        ("allowed", "address", "may"),
        [
            ("10.0.0.5", "10.0.0.5", True),
            ("10.0.0.5", "10.0.0.6", False),
            ("127.0.0.1, 10.1.0.0/16,fd00::/8", "10.1.2.3", True),
            ("10.1.0.0/16,fd00::/8", "fd00::7", True),
            ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ],
    )
    def test_the_settings_name_others(self, settings, allowed, address, may) -> None:
        settings.METRICS_HOST = allowed
        assert callers.may_ask(RequestFactory().get("/", REMOTE_ADDR=address)) is may


class TestOnlyForOperations:
    def test_is_nothing_to_a_stranger(self) -> None:
        view = callers.only_for_operations(lambda _request: HttpResponse("x"))
        assert view(RequestFactory().get("/")).headers["Cache-Control"] == "no-store"
        with pytest.raises(Http404):
            view(RequestFactory().get("/", REMOTE_ADDR="10.0.0.5"))

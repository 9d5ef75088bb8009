"""The client behind proxies: read from the right, and only as far as the settings trust."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jit.ops.callers import networks
from jit.ops.proxies import TrustedProxies

TRUSTED = "10.0.0.0/8, 2001:db8::/64"


def seen(peer: str, *headers: tuple[str, str], trusted: str = TRUSTED, **more: Any) -> Any:
    """Return what the application behind sees: the client's address and the scheme."""
    found: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        found.append((scope["client"][0], scope["scheme"]))

    lines = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": lines, **more}
    asyncio.run(TrustedProxies(app, networks(trusted))(scope, None, None))
    return found[0]


def forwarded(value: str) -> tuple[str, str]:
    return "x-forwarded-for", value


class TestClient:
    def test_is_the_one_before_the_trusted_proxy(self) -> None:
        assert seen("10.0.0.5", forwarded("192.0.2.7"))[0] == "192.0.2.7"

    def test_is_read_from_the_right_past_trusted_proxies_only(self) -> None:
        written = forwarded("6.6.6.6, 192.0.2.7, 10.0.0.9")
        assert seen("10.0.0.5", written)[0] == "192.0.2.7"
        lines = (forwarded("6.6.6.6"), forwarded("192.0.2.7"), forwarded("10.1.1.1"))
        assert seen("10.0.0.5", *lines)[0] == "192.0.2.7"

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "192.0.2.7", ""])
    def test_nobody_else_says_who_they_are(self, peer: str) -> None:
        """The embedded server believed the header of anybody on this machine."""
        assert seen(peer, forwarded("6.6.6.6"))[0] == peer

    def test_nobody_is_trusted_unless_the_settings_say_so(self) -> None:
        for peer in ("127.0.0.1", "10.0.0.5"):
            assert seen(peer, forwarded("6.6.6.6"), trusted="")[0] == peer

    @pytest.mark.parametrize(
        ("written", "client"),
        [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8:1::7", "2001:db8:1::7"),
            ("[2001:db8:1::7]:4711", "2001:db8:1::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "10.0.0.1"),
            ("unknown", "10.0.0.5"),
            ("", "10.0.0.5"),
            ("6.6.6.6, rubbish", "10.0.0.5"),
            ("6.6.6.6, rubbish, 10.0.0.1", "10.0.0.1"),
        ],
    )
    def test_reads_what_proxies_write_and_stops_at_what_is_no_address(
        self, written: str, client: str
    ) -> None:
        assert seen("10.0.0.5", forwarded(written))[0] == client

    def test_of_a_websocket_is_found_alike(self) -> None:
        told = (forwarded("192.0.2.7"), ("x-forwarded-proto", "https"))
        more = {"type": "websocket", "scheme": "ws"}
        assert seen("10.0.0.5", *told, **more) == ("192.0.2.7", "wss")


class TestScheme:
    def test_is_the_one_that_the_trusted_proxy_says(self) -> None:
        assert seen("10.0.0.5", ("x-forwarded-proto", "https"))[1] == "https"
        assert seen("10.0.0.5", ("x-forwarded-proto", "https, http"))[1] == "http"
        assert seen("127.0.0.1", ("x-forwarded-proto", "https"))[1] == "http"

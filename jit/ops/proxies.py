"""See the client behind the proxies that the settings trust, for HTTP and websockets alike.

Each proxy appends the address that it was called from to `X-Forwarded-For`
(developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For), so it is read from the
right, and only as far as the addresses are those of trusted proxies: what stands further left
was written by anybody. Without a trusted proxy the header says nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from jit.ops.callers import Network

type Scope = MutableMapping[str, Any]
type App = Callable[[Scope, Any, Any], Awaitable[Any]]
_SECURE = {"http": "https", "websocket": "wss"}


class TrustedProxies:
    """Wraps an ASGI application: its `client`, and its `scheme` where the nearest proxy says
    `X-Forwarded-Proto: https`, are those of the client's own connection.
    """

    def __init__(self, app: App, networks: list[Network]) -> None:
        self.app = app
        self.networks = networks

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> Any:
        peer = (scope.get("client") or ("", 0))[0]
        if self.networks and scope["type"] in _SECURE and self._trusts(peer):
            scope = {**scope, "client": (self._client(scope, peer), 0)}
            if _said(scope, b"x-forwarded-proto")[-1:] == ["https"]:
                scope["scheme"] = _SECURE[scope["type"]]
        return await self.app(scope, receive, send)

    def _client(self, scope: Scope, peer: str) -> str:
        """Return the first address from the right that is no trusted proxy's; the last that is,
        where the chain ends or holds something that is no address.
        """
        for address in reversed(_said(scope, b"x-forwarded-for")):
            parsed = _address(address)
            if parsed is None:
                return peer
            peer = str(parsed)
            if not self._trusts(peer):
                return peer
        return peer

    def _trusts(self, address: str) -> bool:
        parsed = _address(address)
        return parsed is not None and any(
            parsed in network for network in self.networks if network.version == parsed.version
        )


def _said(scope: Scope, name: bytes) -> list[str]:
    """Return the header's values, split at commas, of all its lines in their order."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
    return [part.strip() for line in lines for part in line.split(",")]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in `192.0.2.7`, `192.0.2.7:1234`, `2001:db8::7` or `[2001:db8::7]:1`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed

"""Where a webhook may go: to the internet, and to what the operators listed; never elsewhere.

An address is judged after it was looked up and the very same address is then connected to, so
that a name can't answer twice (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings

from jit.kernel.errors import InvalidInput
from jit.notifications.channels.base import DeliveryFailed
from jit.notifications.models import LONGEST_URL

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
type Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


def networks(listed: Iterable[str]) -> list[Network]:
    """Return the listed networks. Raises ValueError for what is none."""
    return [ipaddress.ip_network(item) for item in listed]


def may_reach(address: Address, allowed: Iterable[Network]) -> bool:
    """Return whether a webhook may go to `address`: global unicast, or listed."""
    inner = _inner(address)
    if any(one in network for network in allowed for one in {address, inner}):
        return True
    return inner.is_global and not (
        inner.is_multicast or inner.is_reserved or inner.is_unspecified or inner.is_loopback
    )


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def check_url(url: str) -> None:
    """Raise InvalidInput unless `url` is one that a webhook may have. Looks nothing up: what
    the name stands for is judged at each delivery.
    """
    wrong = _wrong(url)
    if wrong:
        raise InvalidInput(f"This can't be a webhook's address: {wrong}", fields={"url": [wrong]})


def _wrong(url: str) -> str:  # noqa: PLR0911 -- one return for each thing that can be wrong
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"At most {LONGEST_URL} printable ASCII characters, without blanks."
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "It can't be read."
    if parts.scheme not in _PORTS or not host:
        return "It starts with https:// and names a host."
    if parts.username is not None or parts.password is not None:
        return "It must hold no user name or password; the signature proves who sends."
    if parts.fragment:
        return "It must hold no fragment."
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        literal = None
    allowed = networks(settings.WEBHOOK_NETWORKS)
    if literal is not None and not may_reach(literal, allowed):
        return "That address is private; list its network in JIT_WEBHOOK_NETWORKS to allow it."
    if parts.scheme == "http" and (literal is None or not any(literal in net for net in allowed)):
        return "Only https:// is allowed, except to an address listed in JIT_WEBHOOK_NETWORKS."
    return ""


def resolve(host: str, port: int) -> str:
    """Return one address behind `host` that may be reached.

    Raises DeliveryFailed: permanent when any address behind it is one that may not be reached
    (a name that mixes both is not trusted), else because the look-up failed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as failure:
        raise DeliveryFailed(f"{host} can't be looked up", lane_down=True) from failure
    allowed = networks(settings.WEBHOOK_NETWORKS)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not may_reach(ipaddress.ip_address(address.partition("%")[0]), allowed):
            raise DeliveryFailed(
                f"{host} is at a private address, where webhooks don't go "
                "(JIT_WEBHOOK_NETWORKS lists what is allowed)",
                permanent=True,
            )
    if not addresses:
        raise DeliveryFailed(f"{host} has no address", lane_down=True)
    return addresses[0]

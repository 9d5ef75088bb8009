"""Who may ask the operational endpoints: this machine, and the networks that the settings name."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")


def networks(text: str) -> list[Network]:
    """Return the networks of a list by commas; a single address is a network of one.

    Raises ValueError for anything else, a host name for instance.
    """
    return [ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip()]


def may_ask(request: HttpRequest) -> bool:
    """Return whether the caller is this machine or in one of the networks.

    A request that came through a proxy on this machine has the proxy's address and says so in
    a header: it is a stranger's, whatever address it names.
    """
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(str(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return True
    allowed = networks(settings.METRICS_HOST)
    return any(address in network for network in allowed if network.version == address.version)


def only_for_operations(
    view: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Let the view answer those alone; for anybody else there is nothing at this address."""

    @functools.wraps(view)
    def guarded(request: HttpRequest) -> HttpResponse:
        if not may_ask(request):
            raise Http404
        response = view(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    return guarded

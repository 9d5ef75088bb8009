"""How often one person may call, apart for reads and writes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rest_framework.throttling import SimpleRateThrottle

from jit.identity.authentication import address_of

if TYPE_CHECKING:  # DRF's views import this module while they are being imported
    from rest_framework.request import Request
    from rest_framework.views import APIView

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

log = logging.getLogger(__name__)


class PerPerson(SimpleRateThrottle):
    """Counts in the cache. Without the cache nobody is throttled: a throttle guards the
    installation's comfort, never its access.
    """

    scope = "read"

    def allow_request(self, request: Request, view: APIView) -> bool:
        self.scope = "read" if request.method in SAFE_METHODS else "write"
        self.rate = self.get_rate()
        self.num_requests, self.duration = self.parse_rate(self.rate)
        try:
            return bool(super().allow_request(request, view))
        except Exception:
            log.warning("the cache does not answer: this call is not throttled", exc_info=True)
            return True

    def get_cache_key(self, request: Request, view: APIView) -> str:  # noqa: ARG002 -- DRF's signature
        pk = getattr(request.user, "pk", None)
        # DRF's own `get_ident` believes whatever address the caller writes into a header.
        return f"throttle:{self.scope}:{pk or address_of(request)}"

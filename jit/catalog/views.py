"""What hosts ask of the catalogue: the list of revoked SSH certificates, without signing in.

The list holds names of grants and serials, nothing that opens anything; a host that could not
fetch it would go on taking what was revoked, so nothing stands in its way.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.views.decorators.http import require_safe

from jit.catalog import queries


@require_safe
def ssh_krl(request: HttpRequest, target: str) -> HttpResponse:
    """Answer with the target's list as it is now, or 304 to whoever has it; 503 while it can't
    be read, which a host takes for "keep the old one".
    """
    row = queries.ssh_target(target)
    if row is None:
        raise Http404
    try:
        content = Path(str(row.config.get("krl"))).read_bytes()
    except OSError:
        return HttpResponse(status=503, headers={"Retry-After": "5"})
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(content, content_type="application/octet-stream", headers=headers)

"""PagerDuty's door: the raw bytes and their signature, then always a yes."""

from __future__ import annotations

import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from jit.oncall import webhooks

log = logging.getLogger(__name__)

LARGEST = 256 * 1024
"""PagerDuty drops what is larger by itself."""


@csrf_exempt
@require_POST
def pagerduty(request: HttpRequest) -> HttpResponse:
    """Answer 202 to whatever is correctly signed, 401 to the rest; 404 unless set up.

    No cookie counts here: the signature is who it is from.
    """
    secrets = settings.ONCALL_WEBHOOK_SECRETS
    if not secrets:
        return HttpResponse(status=404)
    try:
        if int(request.headers.get("Content-Length") or 0) > LARGEST:
            return HttpResponse(status=413)
        body = request.body
    except (ValueError, RawPostDataException):
        return HttpResponse(status=400)
    if len(body) > LARGEST:
        return HttpResponse(status=413)
    header = request.headers.get("X-PagerDuty-Signature", "")
    if not webhooks.is_signed(body=body, header=header, secrets=secrets):
        log.warning("a webhook that PagerDuty did not sign was refused")
        return HttpResponse(status=401)
    log.info("PagerDuty's webhook: %s", webhooks.take(body))
    return HttpResponse(status=202)

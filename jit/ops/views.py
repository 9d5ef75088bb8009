"""What those who run the installation ask of it; no authentication, see `callers`."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from jit.ops import health, metrics
from jit.ops.callers import only_for_operations


@require_safe
@only_for_operations
def livez(_request: HttpRequest) -> HttpResponse:
    """Answer that this process turns requests into answers; asks nothing of anybody."""
    return JsonResponse({"status": "ok"})


@require_safe
@only_for_operations
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 where people may be sent, else 503; with `?strict=1` only when all is well."""
    report = health.examine()
    accepted = {"ok"} if request.GET.get("strict") == "1" else {"ok", "degraded"}
    return JsonResponse(report.as_json(), status=200 if report.status in accepted else 503)


@require_safe
@only_for_operations
def prometheus(_request: HttpRequest) -> HttpResponse:
    """Answer with the metrics in Prometheus's text format."""
    return HttpResponse(metrics.text(), content_type=metrics.CONTENT_TYPE)

"""The catalogue: targets with their health and what their connector can, roles with owners."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jit.catalog import queries
from jit.catalog.models import Risk, Target
from jit.connectors import registry
from jit.kernel.errors import DomainError
from jit.web.htmx import PageRequest, page
from jit.workflow import ports


@require_GET
@page()
def catalogue(request: PageRequest) -> HttpResponse:
    q = request.GET.get("q", "")[:200]
    risk = request.GET.get("risk", "")
    rows = queries.filter_roles(queries.roles_visible_to(request.user), q=q, risk=risk)
    by_target: dict[Any, list[Any]] = {}
    for role in rows.order_by("target__slug", "slug")[:500]:
        by_target.setdefault(role.target_id, []).append(role)
    targets = queries.targets_visible_to(request.user)
    if q or risk:
        targets = targets.filter(pk__in=by_target)
    away = ports.sessions().gateways_away()
    shown = [
        {
            "target": target,
            "roles": by_target.get(target.pk, []),
            "state": _health(target),
            "caps": _caps(target),
            "gateway_away": target.kind in away,
        }
        for target in targets[:200]
    ]
    context = {"targets": shown, "q": q, "risk": risk, "risks": Risk.values}
    return render(request, "jit/catalogue/catalogue.html", context)


def _health(target: Target) -> str:
    if not target.enabled:
        return "DISABLED"
    if target.health_at is None:
        return "UNKNOWN"
    return "HEALTHY" if target.health.get("ok") else "UNHEALTHY"


def _caps(target: Target) -> list[tuple[str, bool]]:
    """Return what the target's connector can, as sentences; none for a kind unknown here."""
    try:
        caps = registry.class_for(target.kind).caps
    except (DomainError, AttributeError):
        return []
    return [
        ("holds the deadline itself", caps.target_holds_deadline),
        ("cuts open connections", caps.can_cut_sessions),
        ("separates overlapping grants", caps.separates_overlapping_grants),
        ("hands out a credential", caps.issues_credential),
    ]

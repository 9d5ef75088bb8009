"""Grants: the operators' list, and what the holder or an operator does with one."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_POST

from jit.elevation import queries
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import DomainError, InvalidInput
from jit.web import board
from jit.web.htmx import PageRequest, go, is_part, page, refused
from jit.workflow import credential as credentials
from jit.workflow import revoke

LABELS = {
    "psql": "Type this",
    "command": "Type this",
    "host_key": "The first time, ssh asks about this fingerprint",
    "known_hosts": "Or for ~/.ssh/known_hosts, so that it need not ask",
    "sslmode": "TLS mode",
    "sslrootcert": "File of the authority's certificate",
    "get_certificate": "Without a password: get a certificate",
    "psql_with_certificate": "Then type this, as often as you like",
}
"""What a credential's parts are for, where their names do not say it."""
SECRETS = ("password", "private_key", "token", "secret")


@require_GET
@page()
def grants(request: PageRequest) -> HttpResponse:
    """Show the grants one may see, the stuck ones first."""
    filters = board.Filters.from_query(request.GET)
    shown = board.board(user=request.user, filters=filters, now=clock.now())
    template = "jit/grants/_list.html" if is_part(request) else "jit/grants/grants.html"
    return render(request, template, {"board": shown, "filters": filters})


@require_POST
@page()
@sensitive_variables("credential", "rows")
def credential(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """Show the credential to its owner, this once; every showing is an audit event."""
    grant = queries.grant_visible_to(request.user, grant_id)
    credential = credentials.show(grant_id=grant_id, user=request.user, actor=actor_of(request))
    rows = [
        {
            "name": name,
            "label": LABELS.get(name, name),
            "value": value,
            "secret": name in SECRETS,
        }
        for name, value in credential.items()
        if value not in {None, ""}
    ]
    rows.sort(key=lambda row: (row["name"] not in {"psql", "ssh", "command"}, not row["secret"]))
    context = {
        "rows": rows,
        "grant_id": grant_id,
        "through_gateway": grant.target.kind in settings.GATEWAYS,
        "seconds": settings.ONE_USE_TOKEN_LIFE,
    }
    return render(request, "jit/grants/_credential.html", context)


@require_POST
@page()
def give_back(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """End one's own grant: done."""
    queries.grant_visible_to(request.user, grant_id)
    grant = revoke.give_back(grant_id=grant_id, user=request.user, actor=actor_of(request))
    if not is_part(request):
        return go(request, reverse("request", args=[grant.request_id]))
    grant = queries.grant_visible_to(request.user, grant_id)
    return render(request, "jit/grants/_card.html", {"grant": grant})


@require_POST
@page()
def take_back(request: PageRequest, grant_id: UUID) -> HttpResponse:
    """End somebody's grant, with a reason."""
    grant = queries.grant_visible_to(request.user, grant_id)
    revoke.take_back(
        grant_id=grant_id,
        user=request.user,
        comment=request.POST.get("reason", ""),
        actor=actor_of(request),
    )
    return go(request, _origin(request, reverse("request", args=[grant.request_id])))


@require_POST
@page(Permission.GRANT_REVOKE)
def take_back_all(request: PageRequest) -> HttpResponse:
    """End every live grant of a person or on a target, with one reason."""
    filters = board.Filters.from_query(request.POST)
    if not filters:
        raise InvalidInput("Name the person, the target or the role whose grants are to end.")
    found = board.live(user=request.user, filters=filters)
    ended, refusals = 0, []
    for grant in found:
        try:
            revoke.take_back(
                grant_id=grant.pk,
                user=request.user,
                comment=request.POST.get("reason", ""),
                actor=actor_of(request),
            )
            ended += 1
        except DomainError as refusal:
            refusals.append(refusal)
    if refusals and not ended:
        return refused(request, refusals[0])
    if refusals:
        left = f"{ended} ended; {len(refusals)} could not be ended: {refusals[0].detail}"
        messages.warning(request, left)
    else:
        messages.success(request, f"{ended} grants are being ended.")
    return go(request, f"{reverse('grants')}?{filters.as_query()}")


def _origin(request: PageRequest, otherwise: str) -> str:
    return reverse("grants") if request.POST.get("from") == "grants" else otherwise

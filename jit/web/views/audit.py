"""The audit log for people: search it, follow it, verify one event or everything."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from jit.audit import checking, download, queries
from jit.audit.actions import ACTIONS
from jit.identity import operations as identity_operations
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.authentication import actor_of
from jit.identity.models import SavedView, User
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import InvalidInput
from jit.web.htmx import PageRequest, go, is_part, page
from jit.web.streaming import stream

NAMES = ("actor", "action", "person", "role", "target", "request", "grant", "from", "to", "q")
FACETS = ("action", "actor_name", "role", "target", "person")
PAGE = "audit"
_AS_FILTER = {"actor_name": "actor"}


@require_GET
@page()
def search(request: PageRequest) -> HttpResponse:
    """Search the events one may see, newest first; facets count what the search found."""
    wanted = _wanted(request.GET)
    after = request.GET.get("after", "")
    rows = queries.filtered(queries.events_visible_to(request.user), _filters(wanted))
    found = queries.page(rows, after=queries.Cursor.parse(after) if after else None)
    context = {
        "events": found.events,
        "next": found.next,
        "wanted": wanted,
        "actions": sorted(str(getattr(action, "value", action)) for action in ACTIONS),
        "checkpoint": queries.latest_checkpoint(),
        "lag": queries.lag(now=clock.now()),
        "whole": urlencode(_given(wanted)),
        "given": _given(wanted),
        "views": _views(request.user, wanted),
        "may_export": permissions.has(request.user, Permission.AUDIT_EXPORT),
    }
    if is_part(request):
        return render(request, "jit/audit/_events.html", context)
    counted, more = queries.facets(rows, FACETS)
    facets = _facets(counted, wanted)
    return render(request, "jit/audit/audit.html", {**context, "facets": facets, "at_least": more})


@require_GET
@page()
def event(request: PageRequest, seq: int) -> HttpResponse:
    """Show one event whole, as it was sealed."""
    row = queries.event_visible_to(request.user, seq=seq)
    body = json.dumps(row.content, indent=2, ensure_ascii=False, sort_keys=True)
    return render(request, "jit/audit/event.html", {"event": row, "body": body})


@require_POST
@page(Permission.AUDIT_EXPORT)
def export(request: PageRequest) -> HttpResponseBase:
    """Hand out what was searched for, with its proofs; without a search the whole sealed log."""
    wanted, now, actor = _wanted(request.POST), clock.now(), actor_of(request)
    name = f"audit-{now:%Y%m%d-%H%M%S}"
    if not any(wanted.values()):
        archive = download.whole(actor=actor, now=now)
        return stream(request, download.pieces(archive), headers=_as_file(f"{name}.zip"))
    pack = download.found(reader=request.user, filters=_filters(wanted), actor=actor, now=now)
    return HttpResponse(pack, content_type="application/json", headers=_as_file(f"{name}.json"))


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@require_GET
@page()
def verifier(request: PageRequest) -> HttpResponse:  # noqa: ARG001 -- Django's signature
    """Hand out the program that checks an export without us: one file, to be read."""
    return HttpResponse(
        download.verifier(), content_type="text/x-python", headers=_as_file("verifier.py")
    )


@require_POST
@page()
def save(request: PageRequest) -> HttpResponse:
    """Keep this search under a name of one's own."""
    row = identity_operations.save_view(
        user=request.user,
        page=PAGE,
        name=request.POST.get("name", ""),
        wanted=_wanted(request.POST),
        actor=actor_of(request),
        now=clock.now(),
    )
    messages.success(request, "The view is saved.")
    return go(request, f"{reverse('audit')}?{urlencode(row.wanted)}")


@require_POST
@page()
def forget(request: PageRequest, view_id: UUID) -> HttpResponse:
    identity_operations.delete_view(
        view=identity.own_view(request.user, view_id), actor=actor_of(request), now=clock.now()
    )
    return go(request, reverse("audit"))


@require_POST
@page()
def verify(request: PageRequest, seq: int) -> HttpResponse:
    """Compute one event's hash anew and follow its proof to the signed checkpoint."""
    queries.event_visible_to(request.user, seq=seq)
    found = queries.verify_event(seq)
    return render(request, "jit/audit/_verification.html", {"found": found})


@require_POST
@page(Permission.AUDIT_READ)
def verify_all(request: PageRequest) -> HttpResponse:
    """Compute the whole tree anew from the stored events."""
    context = {"found": checking.verify_everything(), "everything": True}
    return render(request, "jit/audit/_verification.html", context)


def _wanted(given: QueryDict) -> dict[str, str]:
    return {name: given.get(name, "").strip()[:300] for name in NAMES}


def _given(wanted: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if value}


def _views(user: User, wanted: dict[str, str]) -> list[tuple[SavedView, str, bool]]:
    """Return the person's own views, each with its address and whether it is the one shown."""
    shown = _given(wanted)
    return [
        (view, urlencode(view.wanted), view.wanted == shown)
        for view in identity.saved_views(user, page=PAGE)
    ]


def _filters(wanted: dict[str, str]) -> queries.Filters:
    return queries.Filters(
        actor=wanted["actor"],
        action=wanted["action"],
        person=wanted["person"],
        role=wanted["role"],
        target=wanted["target"],
        request_id=_uuid(wanted["request"], "request"),
        grant_id=_uuid(wanted["grant"], "grant"),
        start=_day(wanted["from"], "from"),
        end=_day(wanted["to"], "to", days=1),
        q=wanted["q"],
    )


def _uuid(text: str, name: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise InvalidInput(f"The {name} is not an id; copy it from its page.") from None


def _day(text: str, name: str, *, days: int = 0) -> dt.datetime | None:
    """Return the beginning of a day in the reader's zone, `days` later."""
    if not text:
        return None
    try:
        day = dt.date.fromisoformat(text) + dt.timedelta(days=days)
    except (ValueError, OverflowError):
        raise InvalidInput(f"Give `{name}` as a date, such as 2030-01-31.") from None
    return timezone.make_aware(dt.datetime.combine(day, dt.time()))


def _facets(
    counted: Mapping[str, Counter[str]], wanted: dict[str, str]
) -> list[tuple[str, list[tuple[str, int, str, bool]]]]:
    """Return, for each facet, its commonest values with their counts and the links that add or
    remove them.
    """
    found = []
    for column, counts in counted.items():
        name = _AS_FILTER.get(column, column)
        values = []
        for value, count in counts.most_common(8):
            if not value:
                continue
            chosen = wanted[name] == value
            query = QueryDict(mutable=True)
            query.update({key: text for key, text in wanted.items() if text})
            query[name] = "" if chosen else value
            values.append((value, count, query.urlencode(), chosen))
        if len(values) > 1 or any(chosen for *_, chosen in values):
            found.append((name, values))
    return found

"""The audit log for people: search it, follow it, verify one event or everything."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from jit.audit import checking, queries
from jit.audit.actions import ACTIONS
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.errors import InvalidInput
from jit.web.htmx import PageRequest, is_part, page

NAMES = ("actor", "action", "person", "role", "target", "request", "grant", "from", "to", "q")
FACETS = ("action", "actor_name", "role", "target", "person")
_AS_FILTER = {"actor_name": "actor"}


@require_GET
@page()
def search(request: PageRequest) -> HttpResponse:
    """Search the events one may see, newest first; facets count what the page shows."""
    wanted = {name: request.GET.get(name, "").strip()[:300] for name in NAMES}
    after = request.GET.get("after", "")
    found = queries.page(
        queries.filtered(queries.events_visible_to(request.user), _filters(wanted)),
        after=queries.Cursor.parse(after) if after else None,
    )
    context = {
        "events": found.events,
        "next": found.next,
        "wanted": wanted,
        "facets": _facets(found.events, wanted),
        "actions": sorted(str(getattr(action, "value", action)) for action in ACTIONS),
        "checkpoint": queries.latest_checkpoint(),
        "lag": queries.lag(now=clock.now()),
        "whole": urlencode({name: value for name, value in wanted.items() if value}),
    }
    part = is_part(request)
    return render(request, f"jit/audit/{'_events' if part else 'audit'}.html", context)


@require_GET
@page()
def event(request: PageRequest, seq: int) -> HttpResponse:
    """Show one event whole, as it was sealed."""
    row = queries.event_visible_to(request.user, seq=seq)
    body = json.dumps(row.content, indent=2, ensure_ascii=False, sort_keys=True)
    return render(request, "jit/audit/event.html", {"event": row, "body": body})


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
    events: object, wanted: dict[str, str]
) -> list[tuple[str, list[tuple[str, int, str, bool]]]]:
    """Return, for each facet, its values on this page with counts and the links that add or
    remove them.
    """
    found = []
    for column in FACETS:
        name = _AS_FILTER.get(column, column)
        counts = Counter(getattr(event, column) for event in events)  # type: ignore[attr-defined]
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

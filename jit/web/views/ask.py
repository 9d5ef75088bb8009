"""Asking for a role on one screen, with what policy says of it drawn beside as one types."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jit.elevation import queries as elevation
from jit.elevation.models import LONGEST_JUSTIFICATION
from jit.identity import step_up
from jit.identity.authentication import actor_of
from jit.identity.permissions import Permission
from jit.kernel import clock
from jit.kernel.actor import Channel
from jit.kernel.errors import DomainError
from jit.tickets import queries as tickets
from jit.web import offers, rulings
from jit.web.forms import AskForm
from jit.web.htmx import PageRequest, go, page
from jit.workflow import break_glass, submit
from jit.workflow import preview as previews

MINUTE, HOUR = 60, 3600
CHIPS = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR)
GLASS = "jit/ask/glass.html"
NO_JUSTIFICATION = "."
"""Stands for one not typed yet, so that the ruling shows before the last field is filled."""


def chips(longest: int, chosen: int, typed: str = "") -> list[dict[str, Any]]:
    """Return the durations to choose from, up to `longest` seconds, which is always one. Beside
    minutes that were `typed` none of them is the chosen one.
    """
    offered = sorted({chip for chip in CHIPS if chip < longest} | {longest})
    if typed.strip():
        chosen = 0
    elif chosen not in offered:
        under = [chip for chip in offered if chip <= 30 * MINUTE]
        chosen = under[-1] if under else offered[0]
    return [{"seconds": chip, "chosen": chip == chosen} for chip in offered]


@require_http_methods(["GET", "POST"])
@page(Permission.REQUEST_CREATE)
def ask(request: PageRequest) -> HttpResponse:
    """Show the form; on POST submit it, keeping what was typed if it is refused."""
    problem: DomainError | None = None
    if request.method == "POST":
        form = AskForm(request.POST)
        try:
            row, _new = submit.submit(
                requester=request.user,
                ask=form.ask(),
                actor=actor_of(request),
                now=clock.now(),
                idempotency_key=_key(request),
            )
        except DomainError as refusal:
            problem = refusal
        else:
            return go(request, reverse("request", args=[row.pk]))
    values = _values(request)
    return _form(request, "jit/ask/ask.html", values, problem)


@require_http_methods(["GET", "POST"])
@page(Permission.REQUEST_CREATE)
def glass(request: PageRequest) -> HttpResponse:
    """Break the glass: privilege now, with a second factor given for it, and a review after."""
    problem: DomainError | None = None
    if request.method == "POST":
        form = AskForm(request.POST)
        try:
            row = _break(request, form)
        except DomainError as refusal:
            problem = refusal
        else:
            return go(request, reverse("request", args=[row.pk]))
    values = _values(request)
    return _form(request, GLASS, values, problem)


def _break(request: PageRequest, form: AskForm) -> Any:
    asked, now = form.ask(), clock.now()
    act = glass_act(asked.role)
    if form.cleaned_data["otp"] and not step_up.passed_for(request, act=act, now=now):
        step_up.confirm(request=request, act=act, code=form.cleaned_data["otp"], now=now)
    fresh = step_up.passed_for(request, act=act, now=now)
    return break_glass.use(
        requester=request.user,
        ask=asked,
        promise_ticket=form.cleaned_data["promise_ticket"],
        second_factor_at=now if fresh else None,
        actor=actor_of(request),
        now=now,
    )


def glass_act(role: str) -> str:
    """Return the act that a second factor is given for when breaking the glass of a role."""
    return f"break-glass:{role[:100]}"


@require_POST
@page(Permission.REQUEST_CREATE)
def glass_ruling(request: PageRequest) -> HttpResponse:
    """Draw whether, for how long and under whose eyes the glass may be broken; no writes."""
    return render(request, "jit/ask/_glass_ruling.html", _glass_judged(request))


def _glass_judged(request: PageRequest) -> dict[str, Any]:
    form = AskForm(request.POST)
    try:
        asked = form.ask()
        if not asked.role:
            return {}
        seconds = asked.duration_seconds or CHIPS[0]
        ruling = submit.assess(
            requester=request.user,
            ask=submit.Ask(
                role=asked.role,
                ticket=asked.ticket.strip() or break_glass.PROMISED,
                justification=asked.justification.strip() or NO_JUSTIFICATION,
                duration_seconds=seconds,
            ),
            now=clock.now(),
            channel=Channel.WEB,
            break_glass=True,
            look_up_ticket=bool(asked.ticket.strip()),
            only_showing=True,
        ).ruling
    except DomainError as refusal:
        return {"problem": refusal}
    whole = ruling.as_json()
    offer = whole["break_glass"]
    longest = offer["max_duration_seconds"]
    typed = request.POST.get("other_minutes", "")
    stale = longest and str(longest) != request.POST.get("longest", "")
    return {
        "offer": offer,
        "skipped": rulings.rungs(offer) or rulings.rungs(whole),
        "chips": chips(longest, seconds, typed) if stale else None,
        "longest": longest,
    }


@require_GET
@page(Permission.REQUEST_CREATE)
def roles(request: PageRequest) -> HttpResponse:
    """Search roles: what one may ask for first, and for the others why not; or, for the
    break-glass page, those whose glass one may break.
    """
    chosen = request.GET.get("role", "")[:100]
    q, glass = request.GET.get("role_search", ""), request.GET.get("glass") == "1"
    find = offers.breakable if glass else offers.offers
    found = find(user=request.user, q=q, now=clock.now(), chosen=chosen)
    context = {"offers": found, "chosen": chosen, "q": q.strip(), "glass": glass}
    return render(request, "jit/ask/_roles.html", context)


@require_GET
@page(Permission.REQUEST_CREATE)
def ticket(request: PageRequest) -> HttpResponse:
    """Look a ticket up by its key or pasted address and show what it is."""
    reference = request.GET.get("ticket", "").strip()
    found, problem = None, None
    if reference:
        try:
            found = tickets.look_up(reference)
        except DomainError as refusal:
            problem = refusal
    return render(request, "jit/ask/_ticket.html", {"ticket": found, "problem": problem})


@require_POST
@page(Permission.REQUEST_CREATE)
def ruling(request: PageRequest) -> HttpResponse:
    """Draw what policy would say of the form as it is now; changes nothing."""
    context = _judged(request)
    return render(request, "jit/ask/_ruling.html", context)


def _judged(request: PageRequest) -> dict[str, Any]:
    form = AskForm(request.POST)
    try:
        asked = form.ask()
    except DomainError as refusal:
        return {"problem": refusal}
    missing = []
    if not asked.role:
        missing.append("Pick a role.")
    if not asked.ticket.strip():
        missing.append("Name the ticket this is for.")
    if not asked.justification.strip():
        missing.append("Say in a sentence what you need it for.")
    if not asked.role or not asked.ticket.strip():
        return {"missing": missing}
    try:
        shown = previews.preview(
            requester=request.user,
            ask=submit.Ask(
                role=asked.role,
                ticket=asked.ticket,
                justification=asked.justification.strip() or NO_JUSTIFICATION,
                duration_seconds=asked.duration_seconds or CHIPS[0],
                starts_at=asked.starts_at,
                extends=asked.extends,
            ),
            channel=Channel.WEB,
            now=clock.now(),
        )
    except DomainError as refusal:
        return {"missing": missing, "problem": refusal}
    longest = shown["max_duration_seconds"]
    shown_longest = request.POST.get("longest", "")
    return {
        "missing": missing,
        "shown": shown,
        "sentences": rulings.sentences(shown),
        "conditions": rulings.conditions(shown["trace"]),
        "rungs": list(zip(rulings.rungs(shown), shown["who"] or [()] * 9, strict=False)),
        "chips": chips(longest, asked.duration_seconds, request.POST.get("other_minutes", ""))
        if longest and str(longest) != shown_longest
        else None,
        "longest": longest,
    }


def _values(request: PageRequest) -> dict[str, Any]:
    """Return what the form shows: as typed, or as a link to it says (`?role=…`, `?extends=` a
    grant, `?instead=` of one's pending request).
    """
    given = request.POST if request.method == "POST" else request.GET
    names = ("role", "ticket", "justification", "duration_seconds", "other_minutes", "starts_at")
    values: dict[str, Any] = {name: given.get(name, "") for name in names}
    values["promise_ticket"] = given.get("promise_ticket", "")
    values["extends"] = _extended(request, given.get("extends", ""))
    if values["extends"] and not values["role"]:
        values["role"] = values["extends"].role.slug
        values["ticket"] = values["ticket"] or values["extends"].request.ticket_key
    if not values["role"] and (waits := _superseded(request, given.get("instead", ""))):
        values["role"], values["justification"] = waits.role.slug, waits.justification
        values["ticket"] = waits.ticket_key
    values["idempotency_key"] = given.get("idempotency_key", "") or uuid4().hex
    return values


def _extended(request: PageRequest, given: str) -> Any:
    try:
        return elevation.grant_visible_to(request.user, UUID(given)) if given else None
    except (ValueError, DomainError):
        return None


def _superseded(request: PageRequest, given: str) -> Any:
    try:
        row = elevation.request_visible_to(request.user, UUID(given)) if given else None
    except (ValueError, DomainError):
        return None
    return row if row and row.requester_id == request.user.pk else None


def _form(
    request: PageRequest, template: str, values: dict[str, Any], problem: DomainError | None
) -> HttpResponse:
    glass, now = template == GLASS, clock.now()
    offer = offers.offer(user=request.user, slug=values["role"], now=now, glass=glass)
    longest = (offer.longest if offer else 0) or HOUR
    try:
        chosen = int(values["duration_seconds"])
    except ValueError:
        chosen = 0
    context = {
        "values": values,
        "factor_given": step_up.passed_for(request, act=glass_act(values["role"]), now=now),
        "glass": glass,
        "problem": problem,
        "errors": problem.fields if problem else {},
        "offer": offer,
        "chips": chips(longest, chosen, values["other_minutes"]),
        "longest": longest,
        "max_justification": LONGEST_JUSTIFICATION,
    }
    return render(request, template, context, status=problem.status if problem else 200)


def _key(request: PageRequest) -> str:
    """Return the form's own key, so that sending it twice asks once."""
    key = request.POST.get("idempotency_key", "")
    return f"web-{key[:64]}" if key.isalnum() else ""

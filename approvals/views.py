"""The approver's pages: the inbox, and the chain of one request with its buttons."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from approvals import operations, queries
from approvals.forms import DecisionForm
from approvals.states import StepState, Verdict
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity import operations as identity
from jit.identity import step_up
from jit.identity.authentication import actor_of
from jit.identity.models import User
from jit.kernel import clock
from jit.kernel.errors import DomainError
from jit.web.forms import unreadable
from jit.web.htmx import page, say
from jit.workflow.ports import ChainView, StepView

SHOWN = 100


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)


@page()
@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    """What waits for this person, oldest deadline first, with all that helps them decide."""
    rows = list(queries.inbox(_person(request))[:SHOWN])
    chains = queries.describe(rows)
    context = {
        "asks": [
            {
                **_context(request, row, chains.get(row.pk)),
                "history": elevation.requested_before(row),
            }
            for row in rows
        ]
    }
    template = (
        "approvals/_inbox.html" if request.headers.get("HX-Request") else "approvals/inbox.html"
    )
    return render(request, template, context)


@page()
@require_GET
def chain(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """The chain panel of one request."""
    row = elevation.request_visible_to(_person(request), request_id)
    return _panel(request, row)


@page()
@require_POST
def decide(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Approve, approve for less or deny; answers with the panel as it is now, and with what was
    decided or, where it was refused, the refusal.
    """
    row = queries.row_for_deciding(_person(request), request_id)
    form = DecisionForm(request.POST)
    refusal: DomainError | None = None
    try:
        _decide(request, row, form)
    except DomainError as caught:
        refusal = caught
    try:
        row = elevation.request_visible_to(_person(request), request_id)
    except elevation.UnknownRequest:
        # Somebody who may not see it any more hears what came of it, and nothing of the request.
        if refusal is not None:
            raise refusal from None
        return say(HttpResponse(), _decided(form, row))
    panel = _panel(request, row, form=form, refusal=refusal)
    return panel if refusal else say(panel, _decided(form, row))


def _decided(form: DecisionForm, row: ElevationRequest) -> str:
    word = {Verdict.APPROVE: "Approved", Verdict.DENY: "Denied"}
    verdict = word[Verdict(form.cleaned_data["decision"])]
    return f"{verdict}: {row.role.slug} for {row.requester.username}."


def _decide(request: HttpRequest, row: ElevationRequest, form: DecisionForm) -> None:
    if not form.is_valid():
        raise unreadable(form)
    user, now = _person(request), clock.now()
    operations.decide(
        request_id=row.pk,
        approver=user,
        verdict=Verdict(form.cleaned_data["decision"]),
        comment=form.cleaned_data["comment"],
        duration_seconds=form.duration_seconds(),
        second_factor=_second_factor(request, row.pk, form.cleaned_data["otp"], now=now),
        actor=actor_of(request),
        now=now,
        step_id=form.cleaned_data["step"],
    )


def _second_factor(request: HttpRequest, request_id: UUID, otp: str, *, now: dt.datetime) -> bool:
    act = f"approve:{request_id}"
    if otp:
        identity.verify_second_factor(
            user=_person(request), code=otp, actor=actor_of(request), now=now, act=act
        )
        return True
    return step_up.passed_for(request, act=act, now=now)


def _panel(
    request: HttpRequest,
    row: ElevationRequest,
    *,
    form: DecisionForm | None = None,
    refusal: DomainError | None = None,
) -> HttpResponse:
    context = _context(request, row, queries.describe([row]).get(row.pk))
    return render(
        request,
        "approvals/_chain.html",
        {**context, "form": form, "refusal": refusal},
        status=refusal.status if refusal else 200,
    )


def _context(
    request: HttpRequest, row: ElevationRequest, described: ChainView | None
) -> dict[str, Any]:
    """Return what the templates draw: the request, its chain, and whether and how this person
    may answer (`may_decide`, `why_not`, `wants_otp`).
    """
    user = _person(request)
    current = _open_step(described)
    mine = current is not None and user.username in current.candidates
    own = row.requester.person_id == user.person_id
    spoken = described is not None and any(
        user.username in {decision.approver, decision.on_behalf_of}
        for step in described.steps
        for decision in step.decisions
    )
    may = mine and not own and not spoken and row.state == RequestState.PENDING
    strength = row.ruling.get("obligations", {}).get("approval_strength")
    return {
        "request_row": row,
        "chain": described,
        "open_step": current,
        "may_decide": may,
        "speaks_for": [whose for name, whose in current.stand_ins if name == user.username]
        if may and current is not None
        else [],
        "own_request": own,
        "already_spoken": spoken,
        "wants_otp": may
        and strength == "web_phishing_resistant"
        and not step_up.passed_for(request, act=f"approve:{row.pk}", now=clock.now()),
    }


def _open_step(described: ChainView | None) -> StepView | None:
    steps = described.steps if described else ()
    return next((step for step in steps if step.state == StepState.OPEN), None)

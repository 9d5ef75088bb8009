"""Ask once more whether somebody may have what they were granted (promise 9)."""

from __future__ import annotations

import datetime as dt
import math

from django.db import transaction

from jit.catalog.models import Target
from jit.elevation import operations as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import EndReason
from jit.kernel import clock, db
from jit.kernel.actor import CLOCK
from jit.kernel.errors import InvalidInput
from jit.policy import operations as policy
from jit.policy.ruling import Outcome, Ruling
from jit.tickets import queries as tickets
from jit.tickets.adapters.base import TicketNotFound, TicketSnapshot, TicketSystemUnavailable
from jit.workflow import facts

SHORTEST = 10
"""Seconds. What is left of a planned window is not worth giving below the shortest request."""
LARGEST_SKEW = 2.0
"""Seconds between a target's clock and ours, as its last health check saw them."""


class NoLongerEligible(Exception):
    """Something that allowed the request holds no more; `reason` ends the grant. `ruling` is
    what the policy in force says now, where that is why.
    """

    def __init__(self, reason: EndReason, comment: str, ruling: Ruling | None = None) -> None:
        super().__init__(comment)
        self.reason = reason
        self.comment = comment
        self.ruling = ruling


class NotYet(Exception):
    """Something is missing that may still come; `waiting_for` tells the requester."""


def before_activation(grant: Grant, now: dt.datetime) -> int:
    """Ask account, catalogue, clock, ticket, second factor and the policy in force; return the
    seconds they still allow. Raises NoLongerEligible and NotYet.
    """
    _person_and_role(grant)
    _refuse_wrong_clock(grant.target)
    request = _request_of(grant)
    left = _left_of_the_plan(request, now)
    return min(_seconds_of(request, now), left)


def before_extension(grant: Grant, request: ElevationRequest, now: dt.datetime) -> int:
    """Ask the same before `grant` is made longer by the approved `request`; return by how many
    seconds. Raises NoLongerEligible and NotYet.
    """
    _person_and_role(grant)
    return _seconds_of(request, now)


def _left_of_the_plan(request: ElevationRequest, now: dt.datetime) -> int:
    """Return the seconds until the planned end; all that was agreed to without one."""
    if request.planned_end is None:
        return request.granted_seconds
    left = math.ceil((request.planned_end - now).total_seconds())
    if left < SHORTEST:
        raise NoLongerEligible(
            EndReason.ACTIVATION_FAILED,
            f"The time that was planned ended at {clock.utc_words(request.planned_end)}.",
        )
    return left


def _seconds_of(request: ElevationRequest, now: dt.datetime) -> int:
    ticket = _ticket_now(request)
    ruling = _rule(request, ticket, now)
    if request.break_glass:
        return request.granted_seconds
    max_age = ruling.obligations.mfa_max_age_seconds
    factor_at = request.requester.second_factor_at
    if max_age is not None and (
        factor_at is None or now - factor_at > dt.timedelta(seconds=max_age)
    ):
        raise NotYet("your second factor: enter your current code on your account page")
    return min(request.granted_seconds, ruling.max_duration_seconds)


def before_use(grant: Grant, now: dt.datetime) -> Ruling | None:
    """Ask account, catalogue and the policy in force before an ACTIVE grant opens a session or
    what opens one is handed out; return the ruling, or None for a break-glass, whose
    obligations are those it was used under.

    The ticket is the one that was verified for the request: what its closing does to a live
    grant is the policy's `on_ticket_closed`, and the poll of live grants' tickets sees to it.
    Raises NoLongerEligible and NotYet. Not inside a transaction: on-call systems are asked.
    """
    _person_and_role(grant)
    request = _request_of(grant)
    ticket = TicketSnapshot.from_json(request.ticket) if "fetched_at" in request.ticket else None
    ruling = _rule(request, ticket, now)
    return None if request.break_glass else ruling


def _request_of(grant: Grant) -> ElevationRequest:
    """Return the request of a grant, with the person and the role that were read with it."""
    request = grant.request
    request.requester, request.role = grant.user, grant.role
    return request


def _person_and_role(grant: Grant) -> None:
    if not grant.user.is_active:
        raise NoLongerEligible(EndReason.REQUESTER_LEFT, f"{grant.user.username} is disabled.")
    if not grant.role.enabled or not grant.role.target.enabled:
        raise NoLongerEligible(
            EndReason.POLICY, f"{grant.role.slug} is no longer in the catalogue."
        )


def _rule(request: ElevationRequest, ticket: TicketSnapshot | None, now: dt.datetime) -> Ruling:
    """Return what the policy in force says, where that is yes. What is not known (`ticket` is
    None: nobody could check it) delays a grant; it neither gives nor ends one.
    """
    silent = "" if ticket or request.ticket.get("promised") else request.ticket_key
    ruling = policy.rule(
        facts.of(
            requester=request.requester,
            role=request.role,
            ticket=ticket,
            ask_seconds=request.granted_seconds,
            justification=request.justification,
            starts_at=None,
            extends=request.extends_id is not None,
            break_glass=request.break_glass,
            channel=request.channel,
            now=now,
            silent_ticket=silent,
        ),
        now=now,
    )
    if ruling.outcome is Outcome.ERROR:
        raise NotYet("the policy, which fails to evaluate; the operators are told")
    if ruling.break_glass.allowed if request.break_glass else ruling.outcome.admits:
        return ruling
    if not ruling.surely_denied:
        if not ruling.facts["user"]["on_call_known"]:
            raise NotYet("the on-call system, which does not answer")
        if silent:
            raise NotYet(f"the ticket system, which does not answer for {silent[:80]}")
    why = ruling.missing or (ruling.break_glass.message,)
    raise NoLongerEligible(
        EndReason.POLICY, "The policy in force says no: " + " ".join(why)[:900], ruling
    )


def _refuse_wrong_clock(target: Target) -> None:
    """A deadline is judged by the target's clock: one that is off ends privilege at another
    time than the books say, so nothing is given there until it is right.
    """
    skew = target.health.get("skew_seconds")
    if skew is not None and abs(skew) > LARGEST_SKEW:
        raise NotYet(
            f"{target.slug}, whose clock is {abs(skew):.1f} s off; its operators must set it right"
        )


def _ticket_now(request: ElevationRequest) -> TicketSnapshot | None:
    """Return the ticket as it is now; None where it was promised, or could be checked neither
    when the role was asked for (so that an extra step was approved for it) nor now.
    """
    asked_for = request.ticket_system
    if not asked_for and request.break_glass:
        return None
    try:
        if asked_for:
            ticket = tickets.fetch(asked_for, request.ticket_key)
        else:
            ticket = tickets.look_up(request.ticket_key)
    except (TicketNotFound, InvalidInput) as gone:
        raise NoLongerEligible(EndReason.TICKET_CLOSED, gone.detail) from gone
    except TicketSystemUnavailable as unavailable:
        if not asked_for:
            return None
        raise NotYet(f"the ticket system: {unavailable.detail}") from unavailable
    if not ticket.is_open and not request.break_glass:
        raise NoLongerEligible(
            EndReason.TICKET_CLOSED, f"Ticket {ticket.key} is {ticket.status.lower()}."
        )
    if not asked_for:
        with transaction.atomic():
            elevation.attach_ticket(
                request=request, ticket=ticket.as_json(), actor=CLOCK, now=db.now()
            )
    return ticket

"""Ask once more whether somebody may have what they were granted (promise 9)."""

from __future__ import annotations

import datetime as dt

from jit.catalog.models import Target
from jit.elevation.models import Grant
from jit.elevation.states import EndReason
from jit.policy import operations as policy
from jit.policy.ruling import Outcome, Ruling
from jit.tickets import queries as tickets
from jit.tickets.adapters.base import TicketNotFound, TicketSnapshot, TicketSystemUnavailable
from jit.workflow import facts

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
    request = grant.request
    _person_and_role(grant)
    _refuse_wrong_clock(grant.target)
    ticket = _ticket_now(grant)
    if request.break_glass:
        return request.granted_seconds
    ruling = _rule(grant, ticket, now)
    if ticket is not None:
        _refuse(ruling)
    max_age = ruling.obligations.mfa_max_age_seconds
    factor_at = grant.user.second_factor_at
    if max_age is not None and (
        factor_at is None or now - factor_at > dt.timedelta(seconds=max_age)
    ):
        raise NotYet("your second factor: enter your current code on your account page")
    return min(request.granted_seconds, ruling.max_duration_seconds or request.granted_seconds)


def before_session(grant: Grant, now: dt.datetime) -> Ruling | None:
    """Ask account, catalogue and the policy in force before an access session; return the
    ruling, or None for a break-glass, which policy was passed over for.

    The ticket is the one that was verified for the request: what its closing does to a live
    grant is the policy's `on_ticket_closed`, and the poll of live grants' tickets sees to it.
    Raises NoLongerEligible and NotYet. Not inside a transaction: on-call systems are asked.
    """
    _person_and_role(grant)
    if grant.request.break_glass:
        return None
    kept = grant.request.ticket
    ticket = TicketSnapshot.from_json(kept) if "fetched_at" in kept else None
    ruling = _rule(grant, ticket, now)
    if ticket is not None:
        _refuse(ruling)
    return ruling


def _person_and_role(grant: Grant) -> None:
    if not grant.user.is_active:
        raise NoLongerEligible(EndReason.REQUESTER_LEFT, f"{grant.user.username} is disabled.")
    if not grant.role.enabled or not grant.role.target.enabled:
        raise NoLongerEligible(
            EndReason.POLICY, f"{grant.role.slug} is no longer in the catalogue."
        )


def _rule(grant: Grant, ticket: TicketSnapshot | None, now: dt.datetime) -> Ruling:
    request = grant.request
    ruling = policy.rule(
        facts.of(
            requester=grant.user,
            role=grant.role,
            ticket=ticket,
            ask_seconds=request.granted_seconds,
            justification=request.justification,
            starts_at=None,
            extends=False,
            break_glass=False,
            channel=request.channel,
            now=now,
            silent_ticket=request.ticket_key if ticket is None else "",
        ),
        now=now,
    )
    if ruling.outcome is Outcome.ERROR:
        raise NotYet("the policy, which fails to evaluate; the operators are told")
    if ruling.outcome is Outcome.NOT_ELIGIBLE and not ruling.facts["user"]["on_call_known"]:
        # Whoever is on call now may be so still: silence delays a grant, it never ends one.
        raise NotYet("the on-call system, which does not answer")
    return ruling


def _refuse(ruling: Ruling) -> None:
    if ruling.outcome in {Outcome.DENIED, Outcome.NOT_ELIGIBLE}:
        raise NoLongerEligible(
            EndReason.POLICY,
            "The policy in force says no: " + " ".join(ruling.missing)[:900],
            ruling,
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


def _ticket_now(grant: Grant) -> TicketSnapshot | None:
    request = grant.request
    if not request.ticket_system:
        return None
    try:
        ticket = tickets.fetch(request.ticket_system, request.ticket_key)
    except TicketNotFound as gone:
        raise NoLongerEligible(EndReason.TICKET_CLOSED, gone.detail) from gone
    except TicketSystemUnavailable as unavailable:
        obligation = request.ruling.get("obligations", {}).get("on_ticket_unreachable")
        if obligation == "extra_step":
            return None
        raise NotYet(f"the ticket system: {unavailable.detail}") from unavailable
    if not ticket.is_open and not request.break_glass:
        raise NoLongerEligible(
            EndReason.TICKET_CLOSED, f"Ticket {ticket.key} is {ticket.status.lower()}."
        )
    return ticket

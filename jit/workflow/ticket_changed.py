"""A ticket was closed while a grant lives: end the grant, after telling its holder."""

from __future__ import annotations

import datetime as dt
import logging
from uuid import UUID

from django.conf import settings
from django.db import transaction

from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.elevation.models import Grant
from jit.elevation.states import EndReason, GrantState
from jit.kernel import db, tasks
from jit.kernel.actor import CLOCK
from jit.tickets import queries as tickets
from jit.tickets.adapters.base import TicketNotFound, TicketSystemUnavailable
from jit.workflow import hints, tell

log = logging.getLogger(__name__)


def poll() -> int:
    """Ask for the ticket of every live grant again; return how many grants will end early."""
    live = (
        Grant.objects.filter(state=GrantState.ACTIVE, revoke_at__isnull=True)
        .exclude(request__ticket_system="")
        .values_list("request__ticket_system", "request__ticket_key")
        .distinct()
        .order_by("request__ticket_system", "request__ticket_key")
    )
    return sum(ticket_changed(system=system, key=key) for system, key in live)


def ticket_changed(*, system: str, key: str) -> int:
    """Look at the ticket again, whatever a webhook said of it; return how many grants end
    early for it. A system that does not answer changes nothing: it is asked again.
    """
    try:
        ticket = tickets.fetch(system, key)
        is_open, status = ticket.is_open, ticket.status
    except TicketNotFound:
        is_open, status = False, "gone"
    except TicketSystemUnavailable:
        return 0
    if is_open:
        return 0
    grants = Grant.objects.filter(
        state=GrantState.ACTIVE,
        revoke_at__isnull=True,
        request__ticket_system=system,
        request__ticket_key=key,
        request__ruling__obligations__on_ticket_closed="revoke",
    )
    return sum(
        _end(grant_id=pk, key=key, status=status) for pk in grants.values_list("pk", flat=True)
    )


def _end(*, grant_id: UUID, key: str, status: str) -> bool:
    with transaction.atomic():
        grant = queries.lock_grant(grant_id)
        now = db.now()
        if grant.state != GrantState.ACTIVE or grant.revoke_at is not None:
            return False
        notice = dt.timedelta(seconds=settings.TICKET_CLOSED_NOTICE)
        revoke_at = min(now + notice, grant.ends_at or now + notice)
        elevation.end_earlier(
            grant=grant,
            revoke_at=revoke_at,
            reason=EndReason.TICKET_CLOSED,
            comment=f"Ticket {key} is {status.lower()}.",
            actor=CLOCK,
            now=now,
        )
        tell.ticket_closed(grant=grant, revoke_at=revoke_at, key=key, now=now)
        tasks.enqueue_on_commit("jit.workflow.end_due", eta=revoke_at)
        hints.about_request(grant.request_id, people=[grant.user_id])
        return True

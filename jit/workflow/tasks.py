"""The clock's work and the prompt work, by name; each is safe to run twice or at once."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from celery import shared_task

from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.kernel import db
from jit.kernel.actor import CLOCK
from jit.workflow import activate as activation
from jit.workflow import (
    break_glass,
    due,
    lapse,
    leave,
    ports,
    tell,
)
from jit.workflow import (
    extend as extension,
)
from jit.workflow import (
    reconcile as reconciliation,
)
from jit.workflow import (
    revoke as revocation,
)
from jit.workflow import (
    ticket_changed as tickets,
)

LOOK_AHEAD = dt.timedelta(seconds=2)
HANDS = 4
"""Prompt tasks at most for grants that end together, one for each batch of them: sent one after
the other, they go to workers in turn, so that no single process (one core) has all of it to do.
"""


@shared_task(name="jit.workflow.sweep")
def sweep() -> None:
    """Do everything that is due, each second; whatever a lost message left is found here."""
    revocation.revoke_due()
    now = db.now()
    for at, grants in due.ending_soon(now, LOOK_AHEAD):
        for _ in range(min(-(-grants // revocation.BATCH), HANDS)):
            end_due.apply_async(eta=at, expires=at + dt.timedelta(seconds=30))
    for grant_id in activation.due(now):
        activate.apply_async(args=(str(grant_id),), expires=20)
    lapse.lapse_due()
    ports.approvals().watch()
    leave.sweep()
    for request_id in queries.extensions_due():
        extend.apply_async(args=(str(request_id),), expires=20)
    break_glass.escalate_overdue()
    elevation.note_heartbeat(work=elevation.SWEEP, now=db.now())


@shared_task(name="jit.workflow.tell_ending_soon")
def tell_ending_soon() -> None:
    tell.ending_soon()


@shared_task(name="jit.workflow.end_due")
def end_due() -> None:
    revocation.revoke_due()


@shared_task(name="jit.workflow.activate")
def activate(grant_id: str) -> None:
    activation.activate(grant_id=UUID(grant_id))


@shared_task(name="jit.workflow.revoke")
def revoke(grant_id: str) -> None:
    revocation.revoke_due(only=[UUID(grant_id)])


@shared_task(name="jit.workflow.extend")
def extend(request_id: str) -> None:
    extension.extend(request_id=UUID(request_id))


@shared_task(name="jit.workflow.requester_left")
def requester_left(user_id: str) -> None:
    leave.requester_left(user_id=UUID(user_id), actor=CLOCK)


@shared_task(name="jit.workflow.ticket_changed")
def ticket_changed(system: str, key: str) -> None:
    tickets.ticket_changed(system=system, key=key)


@shared_task(name="jit.workflow.poll_tickets")
def poll_tickets() -> None:
    tickets.poll()


@shared_task(name="jit.workflow.reconcile")
def reconcile() -> None:
    reconciliation.reconcile_all()

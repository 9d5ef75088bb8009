"""What a decided chain means for its request: approve, deny, shorten, wait."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from jit.elevation import operations as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState
from jit.kernel import tasks
from jit.kernel.actor import Actor


def approve(
    *, request: ElevationRequest, granted_seconds: int, actor: Actor, now: dt.datetime
) -> None:
    """Approve the request and write what follows from it: a grant to activate or, for an
    extension, the later end of the grant it extends. Runs in the caller's transaction.

    Raises GrantNotActive when the grant that this would extend has ended meanwhile.
    """
    extends = request.extends
    if extends is not None and Grant.objects.get(pk=extends.pk).state != GrantState.ACTIVE:
        raise elevation.GrantNotActive(
            "The grant that this would extend has ended; ask for a new one instead."
        )
    elevation.approve_request(
        request=request, granted_seconds=granted_seconds, actor=actor, now=now
    )
    if extends is not None:
        tasks.enqueue_on_commit("jit.workflow.extend", str(request.pk))
        return
    grant = elevation.create_grant(request=request, actor=actor, now=now)
    wait = grant.scheduled_for - now
    if wait <= dt.timedelta(0):
        tasks.enqueue_on_commit("jit.workflow.activate", str(grant.pk))
    elif wait < tasks.HORIZON:
        tasks.enqueue_on_commit("jit.workflow.activate", str(grant.pk), eta=grant.scheduled_for)


def deny(*, request: ElevationRequest, actor: Actor, now: dt.datetime) -> None:
    elevation.close_request(request=request, verb="denied", actor=actor, now=now)


def shorten(*, request: ElevationRequest, granted_seconds: int) -> None:
    """Keep the shorter time that an approver agreed to, for the next approvers to see."""
    elevation.shorten_request(request=request, granted_seconds=granted_seconds)


def wait_longer(*, request: ElevationRequest, lapses_at: dt.datetime) -> None:
    """Give the next step its own time to answer."""
    elevation.set_lapse(request=request, lapses_at=lapses_at)


def ask_also(*, request: ElevationRequest, approvers: Sequence[str]) -> None:
    """Let the people to whom a step was escalated see the request and answer it."""
    elevation.ask_also(request=request, approvers=approvers)

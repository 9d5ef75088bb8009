"""Move a grant's end later, once its extension was approved: the target first, then the books."""

from __future__ import annotations

import datetime as dt
import logging
from uuid import UUID

from django.db import transaction

from jit.connectors.base import ConnectorError
from jit.elevation import operations as elevation
from jit.elevation import provisioning, queries
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState, RequestState
from jit.kernel import db, tasks
from jit.kernel.actor import CLOCK
from jit.workflow import ask_again, hints, tell
from jit.workflow.activate import LEASE

log = logging.getLogger(__name__)


def extend(*, request_id: UUID) -> None:
    """Apply one approved extension; safe to repeat. A target that can't be reached leaves the
    old end in force and the sweep tries again while the grant lives: privilege may end early
    here, never late. Whatever allowed it is asked again first, as before an activation.
    """
    grant, request = _claim(request_id)
    if grant is None or request is None or grant.ends_at is None:
        return
    try:
        seconds = ask_again.before_extension(grant, request, db.now())
    except ask_again.NoLongerEligible as lost:
        _give_up(grant, request_id, lost)
        return
    except ask_again.NotYet as missing:
        elevation.drop_lease(grant=grant, error=f"The extension waits for {missing}.")
        return
    ends_at = grant.ends_at + dt.timedelta(seconds=seconds)
    try:
        provisioning.extend(grant=grant, ends_at=ends_at, now=db.now())
    except ConnectorError as failure:
        log.warning("could not extend %s: %s", grant, failure)
        elevation.drop_lease(grant=grant, error=str(failure))
        return
    with transaction.atomic():
        request = queries.lock_request(request_id)  # before the grant, as everywhere
        fresh = queries.lock_grant(grant.pk)
        elevation.drop_lease(grant=grant)
        if request.extension_applied_at is not None:
            return  # our lease ran out, and another worker did it
        if _lives(fresh, db.now()):
            elevation.extend_grant(
                grant=fresh, request=request, ends_at=ends_at, actor=CLOCK, now=db.now()
            )
            tell.active(grant=fresh, now=db.now())
        else:
            tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
        hints.about_request(request.pk, people=[grant.user_id])
        hints.about_request(grant.request_id, people=[grant.user_id])


def _give_up(grant: Grant, request_id: UUID, lost: ask_again.NoLongerEligible) -> None:
    """Leave the old end in force for good: what allowed the extension holds no more."""
    with transaction.atomic():
        request = queries.lock_request(request_id)
        elevation.drop_lease(grant=grant, error=f"Not extended: {lost.comment}")
        if request.extension_applied_at is None:
            elevation.drop_extension(request=request, why=lost.comment, now=db.now())
        hints.about_request(request.pk, people=[grant.user_id])
        hints.about_request(grant.request_id, people=[grant.user_id])


def _lives(grant: Grant, now: dt.datetime) -> bool:
    """Return whether there is still an end to move: what is over is never brought back."""
    return grant.state == GrantState.ACTIVE and grant.ends_at is not None and grant.ends_at > now


def _claim(request_id: UUID) -> tuple[Grant | None, ElevationRequest | None]:
    with transaction.atomic():
        request = queries.lock_request(request_id)
        unapplied = request.state == RequestState.APPROVED and request.extension_applied_at is None
        if not unapplied or request.extends_id is None:
            return None, None
        grant, now = queries.lock_grant(request.extends_id), db.now()
        if not _lives(grant, now):
            elevation.drop_extension(
                request=request, why="the grant ended before the extension reached it", now=now
            )
            return None, None
        if grant.lease_until is not None and grant.lease_until > now:
            return None, None
        elevation.take_lease(grant=grant, until=now + LEASE)
        return grant, request

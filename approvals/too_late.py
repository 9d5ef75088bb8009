"""What a late approver is told: what happened meanwhile, by whom and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from approvals import rules
from approvals.models import Decision
from approvals.states import Verdict
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.kernel import clock
from jit.kernel.errors import DomainError


def lapsed(request: ElevationRequest, at: dt.datetime) -> rules.RequestLapsed:
    """Return the refusal of a word that comes after the time to answer, or the planned end."""
    why = "The time that was planned is over" if request.is_over(at) else "Nobody answered in time"
    return rules.RequestLapsed(
        f"{why}: this request lapsed at {clock.utc_words(at)}. The requester may ask again."
    )


def closed(*, request: ElevationRequest, decisions: Sequence[Decision]) -> DomainError:
    """Return the refusal that tells a late approver what happened, by whom and when."""
    at = clock.utc_words(request.closed_at) if request.closed_at else "meanwhile"
    if request.state == RequestState.WITHDRAWN:
        return rules.RequestWithdrawn(f"The requester's side withdrew this request at {at}.")
    if request.state == RequestState.LAPSED:
        return lapsed(request, request.closed_at or request.lapses_at)
    if request.state == RequestState.DENIED:
        names = [d.approver.username for d in decisions if d.verdict == Verdict.DENY]
        return rules.AlreadyDecided(f"Already denied by {' and '.join(names)} at {at}.")
    names = [d.approver.username for d in decisions if d.verdict == Verdict.APPROVE]
    return rules.AlreadyDecided(f"Already approved by {' and '.join(names) or 'policy'} at {at}.")

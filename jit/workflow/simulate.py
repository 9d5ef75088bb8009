"""What a candidate policy would have changed for whom, for whoever thinks of activating it."""

from __future__ import annotations

import datetime as dt

from jit.elevation import queries as elevation
from jit.identity.models import User
from jit.kernel.errors import DomainError, InvalidInput
from jit.policy import queries, simulation
from jit.policy.compiler import PolicyNotCompiled
from jit.policy.models import PolicyBundle

USUAL_DAYS = 90
LONGEST_DAYS = 365
MOST = 2000
"""Requests that one look replays, the newest of them; `manage.py policy simulate` takes all."""


class NotComparable(DomainError):
    """The engine can't evaluate one of the two policies any more."""


def simulate(
    *, user: User, candidate: PolicyBundle, days: int, now: dt.datetime
) -> simulation.Simulation:
    """Replay the requests of the last `days` that this person may see, under the policy in
    force and under the candidate. Changes nothing. Raises InvalidInput, NotComparable, and
    what `queries.active_bundle` does.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise InvalidInput(
            f"Look back from 1 to {LONGEST_DAYS} days.", fields={"days": [f"1 to {LONGEST_DAYS}."]}
        )
    rows = elevation.requests_visible_to(user).filter(created_at__gte=now - dt.timedelta(days=days))
    rulings = rows.order_by("-created_at", "-id").values_list("pk", "ruling")[:MOST]
    try:
        return simulation.simulate(
            rulings=rulings.iterator(chunk_size=200),
            current=queries.active_bundle(),
            candidate=queries.compiled_bundle(candidate.digest),
        )
    except PolicyNotCompiled as error:
        raise NotComparable(
            f"One of the two policies can't be evaluated any more: {error}"
        ) from error

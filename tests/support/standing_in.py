"""A voice that was lent and accepted, by the wing's own operations."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from approvals import delegation
from jit.kernel import clock

if TYPE_CHECKING:
    from approvals.models import Delegation
    from tests.support.world import World


def lent(world: World, giver: str, taker: str, *, accepted: bool = True, **more: Any) -> Delegation:
    """Let `giver` ask `taker` to stand in, for a day unless told otherwise; they accept."""
    now = clock.now()
    values: dict[str, Any] = {
        "starts_at": now - dt.timedelta(minutes=1),
        "ends_at": now + dt.timedelta(days=1),
        "reason": "On holiday.",
        "groups": (),
    } | more
    row = delegation.delegate(
        delegator=world.user(giver),
        delegate=world.user(taker),
        actor=world.actor(giver),
        now=now,
        **values,
    )
    if not accepted:
        return row
    return delegation.accept(
        delegation=row, user=world.user(taker), actor=world.actor(taker), now=clock.now()
    )

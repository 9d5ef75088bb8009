"""A requester left: nothing of theirs stays open."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from jit.elevation.models import Grant
from jit.elevation.states import LIVE, EndReason, RequestState
from jit.identity.models import User
from jit.kernel.actor import CLOCK, Actor
from jit.workflow import lapse, revoke


def sweep() -> int:
    """Find disabled accounts that still have something open, whatever became of the hint that
    their leaving sent; return how many accounts there were.
    """
    pending = Q(elevation_requests__state=RequestState.PENDING)
    live = Q(grants__state__in=LIVE)
    gone = list(User.objects.filter(is_active=False).filter(pending | live).distinct()[:100])
    for user in gone:
        requester_left(user_id=user.pk, actor=CLOCK)
    return len(gone)


def requester_left(*, user_id: UUID, actor: Actor) -> int:
    """Withdraw the pending requests and revoke the grants of a disabled account; return how
    many of both. An account that is enabled again in the meantime gets nothing back.
    """
    user = User.objects.get(pk=user_id)
    withdrawn = lapse.withdraw_all_of(user=user, why=f"{user.username} was disabled", actor=actor)
    grants = list(Grant.objects.filter(user=user, state__in=LIVE).values_list("pk", flat=True))
    return withdrawn + revoke.end_all(
        grants=grants,
        reason=EndReason.REQUESTER_LEFT,
        comment=f"{user.username} was disabled.",
        actor=actor,
    )

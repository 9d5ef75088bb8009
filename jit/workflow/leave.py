"""A requester left: nothing of theirs stays open."""

from __future__ import annotations

from uuid import UUID

from jit.elevation.models import Grant
from jit.elevation.states import LIVE, EndReason
from jit.identity.models import User
from jit.kernel.actor import Actor
from jit.workflow import lapse, revoke


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

"""Who may do what to a grant, beyond the person it belongs to."""

from __future__ import annotations

from jit.elevation import queries
from jit.elevation.models import Grant
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.kernel.errors import NotAllowed
from jit.workflow import ask_again


def may_revoke(user: User, grant: Grant) -> bool:
    """Return whether `user` may end this grant: the role's owners, those who could have
    approved it, operators, and its own holder.
    """
    return (
        grant.user_id == user.pk
        or permissions.has(user, Permission.GRANT_REVOKE)
        or grant.role.owner_group.slug in identity.groups_of(user)
        or bool(set(queries.expressions_of(user)) & set(grant.request.approvers))
    )


def require_may_revoke(user: User, grant: Grant) -> None:
    if not may_revoke(user, grant):
        raise NotAllowed(
            f"Only the owners of {grant.role.slug}, its approvers and operators may revoke it."
        )


def require_may_ask_about(user: User, username: str) -> None:
    """Everybody may ask about themselves; about others, who may read all grants."""
    if user.username != username and not permissions.has(user, Permission.GRANT_READ_ALL):
        raise NotAllowed("Asking about other people takes the permission grant:read-all.")


def still_holds(grant: Grant) -> bool:
    """Return whether an ACTIVE grant may be used now: it has time left by the database's clock,
    and account, catalogue and policy, asked again, say so. What is not known is not yes.

    On-call systems are asked, so not inside a transaction.
    """
    now = db.now()
    if grant.ends_at is None or grant.ends_at <= now:
        return False
    try:
        ask_again.before_use(grant, now)
    except (ask_again.NoLongerEligible, ask_again.NotYet):
        return False
    return True

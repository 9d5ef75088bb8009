"""Writes to delegations: name a stand-in for a period, accept that, and take it back. Whoever is
concerned hears of each: the two, and the owners of the roles that are decided on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from approvals import deciders, delegation_news, rules
from approvals import delegation_queries as queries
from approvals.models import Delegation
from jit.audit import operations as audit
from jit.catalog.models import Role
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, DomainError, NotAllowed

LONGEST = dt.timedelta(days=31)
LONGEST_REASON = 400
_LOCK = "approvals.delegations"


class DelegationToOneself(DomainError):
    """A stand-in is somebody else: another person, not another account."""


class DelegationRoundInACircle(DomainError):
    """Voices that are passed round would come back to whom they belong."""


class DelegationIncomplete(DomainError):
    """A delegation needs a person, a period and a reason."""


class NothingToLend(DomainError):
    """A voice that nobody asks for can't be lent: it might come to mean more later."""


class DelegationNotYours(NotAllowed):
    """Who made a delegation ends it; who is asked to stand in accepts or ends it."""


class DelegationOver(Conflict):
    """The delegation was taken back or its time is over."""


def delegate(
    *,
    delegator: User,
    delegate: User,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    reason: str,
    groups: Sequence[str] = (),
    actor: Actor,
    now: dt.datetime,
) -> Delegation:
    """Ask `delegate` to answer for `delegator` in `[starts_at, ends_at)`: for everything, or
    for the named groups of the delegator only. It counts once they accept. Who decides on no
    role has nothing to lend.

    Not inside a transaction: on-call systems may be asked. Raises DelegationIncomplete,
    DelegationToOneself, NothingToLend and DelegationRoundInACircle.
    """
    _check(delegator, delegate, starts_at, ends_at, reason, groups, now)
    roles = _roles_lent(delegator, groups, now)
    with transaction.atomic():
        db.lock_until_commit(_LOCK)
        _refuse_circle(delegator, delegate, starts_at, ends_at)
        row = Delegation(
            delegator=delegator,
            delegate=delegate,
            groups=sorted(set(groups)),
            reason=reason.strip(),
            starts_at=starts_at,
            ends_at=ends_at,
            created_at=now,
        )
        row.save(force_insert=True)
        _record("delegation.created", row, actor=actor, now=now)
        delegation_news.offered(row, roles=roles, now=now)
    return row


def accept(*, delegation: Delegation, user: User, actor: Actor, now: dt.datetime) -> Delegation:
    """Let the delegate agree: from now on they answer for the delegator. Repeating it changes
    nothing. Not inside a transaction. Raises DelegationNotYours, DelegationOver, NothingToLend
    and DelegationRoundInACircle.
    """
    if delegation.delegate_id != user.pk:
        raise DelegationNotYours("Only who is asked to stand in agrees to it.")
    _refuse_over(delegation, now)
    roles = _roles_lent(delegation.delegator, delegation.groups, now)
    with transaction.atomic():
        # Two halves of a circle accepted at one instant would not see each other.
        db.lock_until_commit(_LOCK)
        delegation.refresh_from_db(fields=["accepted_at", "revoked_at"])
        if delegation.accepted_at is not None:
            return delegation
        _refuse_over(delegation, now)
        _refuse_circle(
            delegation.delegator, delegation.delegate, delegation.starts_at, delegation.ends_at
        )
        delegation.accepted_at = now
        delegation.save(update_fields=["accepted_at"])
        _record("delegation.accepted", delegation, actor=actor, now=now)
        delegation_news.accepted(delegation, roles=roles, now=now)
    return delegation


def _refuse_over(row: Delegation, now: dt.datetime) -> None:
    if row.revoked_at is not None or row.ends_at <= now:
        raise DelegationOver("It was taken back, or its time is over: nothing is left to do.")


def _roles_lent(delegator: User, groups: Sequence[str], now: dt.datetime) -> list[Role]:
    """Return the roles on which the delegator decides, and would let somebody decide. Raises
    NothingToLend where they decide on none, or on none for one of the groups.
    """
    found = deciders.roles_decided_by(delegator, groups=groups, now=now)
    idle = sorted(slug for slug in set(groups) if f"group:{slug}" not in found)
    if idle:
        raise NothingToLend(
            f"No role asks {' or '.join(idle)} to decide, by the policy in force. Name groups that "
            "decide on a role, or none to lend all your decisions.",
            fields={"groups": [f"{', '.join(idle)}: decides on no role."]},
        )
    if not found:
        raise NothingToLend(
            f"{delegator.username} decides on no role by the policy in force, so that nobody can "
            "do it instead. Whoever decides on a role names their own stand-in.",
        )
    roles = {role.pk: role for many in found.values() for role in many}
    return sorted(roles.values(), key=lambda role: role.slug)


def _refuse_circle(
    delegator: User, delegate: User, starts_at: dt.datetime, ends_at: dt.datetime
) -> None:
    lent = [
        rules.Lending(one.delegator.person_id, one.delegate.person_id, one.starts_at, one.ends_at)
        for one in queries.overlapping(starts_at, ends_at)
    ]
    if rules.circle(
        rules.Lending(delegator.person_id, delegate.person_id, starts_at, ends_at), lent
    ):
        raise DelegationRoundInACircle(
            f"{delegate.username} has delegated in that time, and it leads back to "
            f"{delegator.username}: choose somebody else, or another period."
        )


def _check(
    delegator: User,
    delegate: User,
    starts_at: dt.datetime,
    ends_at: dt.datetime,
    reason: str,
    groups: Sequence[str],
    now: dt.datetime,
) -> None:
    if delegator.person_id == delegate.person_id:
        raise DelegationToOneself(
            "Name somebody else: a stand-in is another person, not another account of yours.",
            fields={"delegate": ["That is you."]},
        )
    foreign = sorted(set(groups) - identity.groups_of(delegator))
    wrong = {
        "delegate": "" if delegate.is_active else "This account is disabled.",
        "reason": ""
        if 0 < len(reason.strip()) <= LONGEST_REASON and "\0" not in reason
        else f"Say in a sentence why, in at most {LONGEST_REASON} characters.",
        "ends_at": ""
        if max(starts_at, now) < ends_at <= starts_at + LONGEST
        else f"After its start, in the future, and at most {LONGEST.days} days later.",
        "groups": f"You are not in {' or '.join(foreign)}." if foreign else "",
    }
    fields = {name: [message] for name, message in wrong.items() if message}
    if fields:
        raise DelegationIncomplete(
            "Some fields need another look: " + ", ".join(fields) + ".", fields=fields
        )


def revoke(*, delegation: Delegation, user: User, actor: Actor, now: dt.datetime) -> Delegation:
    """End the delegation now, or decline it as who is asked; what was decided by it stands.
    Repeating it changes nothing.
    """
    if user.pk not in {delegation.delegator_id, delegation.delegate_id}:
        raise DelegationNotYours("Only who made a delegation or stands in by it ends it.")
    with transaction.atomic():
        moved = Delegation.objects.filter(pk=delegation.pk, revoked_at__isnull=True).update(
            revoked_at=now
        )
        if moved:
            _record("delegation.revoked", delegation, actor=actor, now=now)
            _tell_of_the_end(delegation, by=user, now=now)
    delegation.refresh_from_db()
    return delegation


def tell_of_ends() -> int:
    """Tell of the delegations whose time is over, once each; return how many."""
    told = 0
    for row in queries.over_untold():
        with transaction.atomic():
            told += _tell_of_the_end(row, by=None, now=db.now())
    return told


def _tell_of_the_end(row: Delegation, *, by: User | None, now: dt.datetime) -> bool:
    """Tell of an end that nobody told of yet; return whether it was so."""
    untold = Delegation.objects.filter(pk=row.pk, end_told_at__isnull=True)
    if not untold.update(end_told_at=now):
        return False
    row.refresh_from_db(fields=["accepted_at"])
    delegation_news.ended(row, by=by, now=now)
    return True


def _record(action: str, row: Delegation, *, actor: Actor, now: dt.datetime) -> None:
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=audit.Subject(type="delegation", id=str(row.pk), label=str(row)),
        body={
            "delegator": row.delegator.username,
            "delegate": row.delegate.username,
            "starts_at": row.starts_at.isoformat(),
            "ends_at": row.ends_at.isoformat(),
            "groups": row.groups,
            "reason": row.reason,
        },
    )

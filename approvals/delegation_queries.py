"""Reads of delegations: who stands in for whom now, by the database's clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import JSONObject, Now

from approvals.models import Delegation
from approvals.rules import Mandate
from jit.identity.models import Membership, User
from jit.kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Eligible:
    """An active person, the expressions that mean them, and those for whom they stand in."""

    user: User
    own: frozenset[str]
    mandates: tuple[Mandate, ...]

    def asked_by(self, resolved: set[str]) -> bool:
        """Return whether the step asks them, or somebody for whom they stand in."""
        return bool(self.own & resolved) or any(one.expressions & resolved for one in self.mandates)

    def may_answer(self, resolved: set[str], requester: UUID, spoken: set[UUID]) -> bool:
        """Return whether their word would count: `approvals.rules.judge` has the last say."""
        if self.user.person_id in {requester, *spoken}:
            return False
        return bool(self.own & resolved) or any(
            one.expressions & resolved and one.person not in {requester, *spoken}
            for one in self.mandates
        )


def _live() -> QuerySet[Delegation]:
    return Delegation.objects.filter(
        accepted_at__isnull=False,
        revoked_at__isnull=True,
        starts_at__lte=Now(),
        ends_at__gt=Now(),
        delegator__is_active=True,
        delegate__is_active=True,
    )


def _slugs(user: str) -> ArraySubquery:
    return ArraySubquery(Membership.objects.filter(user=OuterRef(user)).values("group__slug"))


_AS_JSON = JSONObject(
    user_id=F("delegator_id"),
    person=F("delegator__person_id"),
    name=F("delegator__username"),
    scope=F("groups"),
    slugs=_slugs("delegator_id"),
)


def _mandate(row: dict[str, Any]) -> Mandate:
    scope = set(row["scope"])
    slugs = {slug for slug in row["slugs"] if not scope or slug in scope}
    return Mandate(
        user_id=UUID(row["user_id"]),
        person=UUID(row["person"]),
        name=row["name"],
        expressions=frozenset(
            [*(f"group:{slug}" for slug in slugs), *([] if scope else [f"user:{row['name']}"])]
        ),
    )


def mandates_of(user: User) -> list[Mandate]:
    """Return for whom `user` stands in now. One level: what was delegated to a delegator does
    not travel on, so that a voice is never further than one signature from its owner.
    """
    rows = _live().filter(delegate=user).order_by("delegator__username", "id")
    return [_mandate(row) for row in rows.values_list(_AS_JSON, flat=True)]


def eligible(expressions: Iterable[str]) -> list[Eligible]:
    """Return the active people whom resolved expressions ask, themselves or by delegation, by
    user name, in one statement (none where nothing is asked).
    """
    wanted = sorted(set(expressions))
    if not wanted:
        return []
    split = [expression.partition(":") for expression in wanted]
    names = [name for kind, _, name in split if kind == "user"]
    slugs = [name for kind, _, name in split if kind == "group"]
    members = Membership.objects.filter(group__slug__in=slugs).values("user_id")
    lent = _live().filter(Q(delegator__username__in=names) | Q(delegator__in=members))
    rows = (
        User.objects.filter(is_active=True)
        .filter(Q(username__in=names) | Q(pk__in=members) | Q(pk__in=lent.values("delegate_id")))
        .annotate(
            slugs=_slugs("pk"),
            lent=ArraySubquery(_live().filter(delegate=OuterRef("pk")).values(as_json=_AS_JSON)),
        )
        .order_by("username")
    )
    return [
        Eligible(
            user=user,
            own=frozenset([f"user:{user.username}", *(f"group:{slug}" for slug in user.slugs)]),
            mandates=tuple(sorted(map(_mandate, user.lent), key=lambda one: one.name)),
        )
        for user in rows
    ]


_ASKED_INSTEAD = """
SELECT c.request_id
  FROM approvals_delegation d
  JOIN identity_user o ON o.id = d.delegator_id AND o.is_active
 CROSS JOIN approvals_step s
  JOIN approvals_chain c ON c.id = s.chain_id
  JOIN elevation_elevationrequest r ON r.id = c.request_id
  JOIN identity_user q ON q.id = r.requester_id
 WHERE d.delegate_id = %s AND d.revoked_at IS NULL AND d.accepted_at IS NOT NULL
   AND d.starts_at <= statement_timestamp() AND d.ends_at > statement_timestamp()
   AND 'OPEN' = s.state AND q.person_id <> o.person_id
   AND (s.resolved ?| ARRAY(
            SELECT 'group:' || g.slug
              FROM identity_membership m JOIN identity_group g ON g.id = m.group_id
             WHERE m.user_id = o.id AND (d.groups = '[]'::jsonb OR d.groups ? g.slug))
        OR (d.groups = '[]'::jsonb AND s.resolved ? ('user:' || o.username)))
   AND NOT EXISTS (
            SELECT 1 FROM approvals_decision v JOIN approvals_step t ON t.id = v.step_id
             WHERE t.chain_id = c.id AND (NOT c.same_person_may_repeat OR 'OPEN' = t.state)
               AND o.person_id IN (v.person, v.on_behalf_of_person))
"""


def asked_instead(user: User) -> Q:
    """Match the requests whose open step asks somebody for whom `user` stands in now, whose
    voice was not given yet: as part of the caller's statement, not as one more.
    """
    return Q(pk__in=RawSQL(_ASKED_INSTEAD, [user.pk]))  # noqa: S611 -- a constant and a parameter


def of(user: User) -> QuerySet[Delegation]:
    """Return the delegations that `user` made or has, newest first, ended ones too."""
    rows = Delegation.objects.filter(Q(delegator=user) | Q(delegate=user))
    return rows.select_related("delegator", "delegate")


def current(now: dt.datetime) -> QuerySet[Delegation]:
    """Return everybody's delegations that are in force, offered or to come, newest first; for
    operators.
    """
    rows = Delegation.objects.filter(revoked_at__isnull=True, ends_at__gt=now)
    return rows.select_related("delegator", "delegate")


def over_untold() -> list[Delegation]:
    """Return those whose time is over and whose end nobody was told of."""
    rows = Delegation.objects.filter(
        end_told_at__isnull=True, revoked_at__isnull=True, ends_at__lte=Now()
    )
    return list(rows.select_related("delegator", "delegate")[:100])


def one_of(user: User, delegation_id: UUID) -> Delegation:
    """Return the delegation if `user` made or has it, else raise NotFound."""
    found = of(user).filter(pk=delegation_id).first()
    if found is None:
        raise NotFound("You have no such delegation; list yours on the account page.")
    return found


def offered_to(user: User, delegation_id: UUID) -> Delegation:
    """Return the delegation if it was offered to `user`, else raise NotFound."""
    found = of(user).filter(pk=delegation_id, delegate=user).first()
    if found is None:
        raise NotFound("You were asked for no such delegation; your account page lists yours.")
    return found


def overlapping(starts_at: dt.datetime, ends_at: dt.datetime) -> Sequence[Delegation]:
    """Return those in force or to come that share an instant with `[starts_at, ends_at)`."""
    rows = Delegation.objects.filter(
        accepted_at__isnull=False,
        revoked_at__isnull=True,
        starts_at__lt=ends_at,
        ends_at__gt=starts_at,
    )
    return list(rows.select_related("delegator", "delegate"))

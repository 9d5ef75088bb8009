"""Reads of targets and roles; what a person may see, and what they may ask for."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from jit.catalog.models import Role, Target
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel.errors import DomainError, NotFound

LONGEST_SEARCH = 200
OVER = ("ENDED", "WITHDRAWN")
"""The states of a grant that leave nothing on a target (see `jit.elevation.states`, which
stands above the catalogue).
"""


class UnknownRole(DomainError):
    """The request names a role that can't be asked for: there is none, or it was retired."""

    title = "There is no such role"


class RoleNotFound(NotFound):
    """No such role, or not one that the caller may see."""


class TargetNotFound(NotFound):
    """No such target, or not one that the caller may see."""


def roles() -> QuerySet[Role]:
    return Role.objects.select_related("target", "owner_group")


def roles_by_id(ids: Collection[UUID]) -> dict[UUID, Role]:
    """Return these roles with their targets, each once."""
    return Role.objects.select_related("target").in_bulk(list(ids))


def requestable_role(slug: str) -> Role:
    """Return the role called `slug` as a request may name it. Raises UnknownRole (422)."""
    plain = slug if len(slug) <= LONGEST_SEARCH and "\x00" not in slug else ""
    role = roles().filter(slug=plain, enabled=True, target__enabled=True).first()
    if role is None:
        raise UnknownRole(
            "There is no role of this name that can be asked for. Look it up in the catalogue.",
            fields={"role": ["Not a role in the catalogue."]},
        )
    return role


def roles_visible_to(user: User) -> QuerySet[Role]:
    """Return the roles `user` may see, by name: all that can be asked for; retired ones only
    for their owners and for whoever may read the whole catalogue.
    """
    if not user.is_active:
        return Role.objects.none()
    if permissions.has(user, Permission.CATALOG_READ_ALL):
        return roles()
    return roles().filter(
        Q(enabled=True, target__enabled=True) | Q(owner_group__slug__in=identity.groups_of(user))
    )


def role_visible_to(user: User, slug: str) -> Role:
    """Return the role, or raise RoleNotFound (404)."""
    role = roles_visible_to(user).filter(slug=slug.replace("\x00", "")).first()
    if role is None:
        raise RoleNotFound("There is no role of this name that you may see.")
    return role


def filter_roles(
    rows: QuerySet[Role], *, q: str = "", target: str = "", risk: str = "", env: str = ""
) -> QuerySet[Role]:
    """Return the rows that match; `q` is searched in names, descriptions and tags of teams."""
    q, target = (text.replace("\x00", "").strip()[:LONGEST_SEARCH] for text in (q, target))
    exact = {"target__slug": target, "risk": risk, "target__env": env}
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    for word in q.split():
        rows = rows.filter(
            Q(slug__icontains=word)
            | Q(name__icontains=word)
            | Q(description__icontains=word)
            | Q(target__slug__icontains=word)
            | Q(target__name__icontains=word)
            | Q(target__team__iexact=word)
        )
    return rows


def targets_visible_to(user: User) -> QuerySet[Target]:
    """Return the targets `user` may see: those of the roles they may see, or all."""
    if not user.is_active:
        return Target.objects.none()
    if permissions.has(user, Permission.CATALOG_READ_ALL):
        return Target.objects.all()
    return Target.objects.filter(
        Q(enabled=True) | Q(roles__owner_group__slug__in=identity.groups_of(user))
    ).distinct()


def target_visible_to(user: User, slug: str) -> Target:
    """Return the target, or raise TargetNotFound (404)."""
    target = targets_visible_to(user).filter(slug=slug.replace("\x00", "")).first()
    if target is None:
        raise TargetNotFound("There is no target of this name that you may see.")
    return target


def ssh_target(slug: str) -> Target | None:
    """Return the target of SSH hosts of that name, retired or not: certificates may live on."""
    return Target.objects.filter(slug=slug, kind="ssh").first()


def roles_of_target(target: Target) -> QuerySet[Role]:
    """Return the target's roles that can be asked for or may still be live, by name."""
    return roles().filter(target=target)


def targets_to_look_at() -> list[UUID]:
    """Return the targets whose health matters: enabled, or with something of ours on them."""
    wanted = Q(enabled=True) | (Q(grants__isnull=False) & ~Q(grants__state__in=OVER))
    return list(Target.objects.filter(wanted).values_list("pk", flat=True).distinct())


def is_in_use(row: Target | Role) -> bool:
    """Return whether a grant of this target or role is planned, live, or not yet proven gone."""
    return row.grants.exclude(state__in=OVER).exists()


def targets_not_ok() -> list[str]:
    """Return the slugs of the enabled targets whose last look found something wrong."""
    ill = Target.objects.filter(enabled=True, health__ok=False)
    return list(ill.order_by("slug").values_list("slug", flat=True))

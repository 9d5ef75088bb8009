"""Everything that reads about people; nothing here writes."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from jit.identity import permissions
from jit.identity.models import (
    NAME_PATTERN,
    ApiToken,
    Group,
    RecoveryCode,
    SavedView,
    TotpDevice,
    User,
)
from jit.identity.permissions import Permission
from jit.kernel.errors import NotFound


def groups_of(user: User) -> frozenset[str]:
    """Return the slugs of the groups `user` is in, read once per instance.

    To ask again about somebody, load them again: `person(user.pk)`.
    """
    return user.group_slugs


def manages_anybody(user: User) -> bool:
    """Return whether `user` is the manager of somebody active."""
    return User.objects.filter(manager=user, is_active=True).exists()


def members_of(group_slug: str) -> QuerySet[User]:
    """Return the active members of a group; none for a group that does not exist."""
    return User.objects.filter(is_active=True, memberships__group__slug=group_slug)


def members_of_any(group_slugs: frozenset[str]) -> QuerySet[User]:
    """Return the active people who are in at least one of the groups, each once."""
    return User.objects.filter(is_active=True, memberships__group__slug__in=group_slugs).distinct()


def holders_of(permission: Permission) -> QuerySet[User]:
    """Return the active people whose groups give them `permission`."""
    return User.objects.filter(
        is_active=True, memberships__group__permissions__permission=permission.value
    ).distinct()


def user_by_username(username: str) -> User | None:
    """Return the account of that name, disabled or not, or None."""
    if not NAME_PATTERN.fullmatch(username):
        return None
    return User.objects.select_related("manager").filter(username=username).first()


def users_by_usernames(usernames: frozenset[str]) -> QuerySet[User]:
    """Return the active accounts among these names."""
    return User.objects.filter(is_active=True, username__in=usernames)


def user_by_email(email: str) -> User | None:
    """Return the one active account with this address, or None when none or several have it."""
    if not email or "\0" in email:
        return None
    found = list(User.objects.filter(is_active=True, email__iexact=email)[:2])
    return found[0] if len(found) == 1 else None


def person(pk: uuid.UUID | str) -> User | None:
    """Return the account as it is now, with nothing remembered, or None."""
    return User.objects.select_related("manager").filter(pk=pk).first()


def same_person(one: User, other: User) -> bool:
    """Return whether two accounts belong to one human."""
    return one.person_id == other.person_id


def accounts_of_person(user: User) -> list[User]:
    """Return all accounts of the account's human, disabled ones too."""
    return [user] if user.is_only_account else list(User.objects.filter(person_id=user.person_id))


def visible_to(viewer: User) -> QuerySet[User]:
    """Return the accounts that `viewer` may see: everybody who is active, oneself, and for who
    may manage people or read the log, the disabled ones too.
    """
    if not viewer.is_active:
        return User.objects.none()
    may_see_all = (Permission.USER_MANAGE, Permission.AUDIT_READ)
    if any(permissions.has(viewer, one) for one in may_see_all):
        return User.objects.all()
    return User.objects.filter(Q(is_active=True) | Q(pk=viewer.pk))


def find_visible(viewer: User, username: str) -> User:
    """Return the account of that name if `viewer` may see it, else raise NotFound."""
    found = (
        visible_to(viewer).filter(username=username).first()
        if NAME_PATTERN.fullmatch(username)
        else None
    )
    if found is None:
        raise NotFound("There is nobody of this user name whom you may see.")
    return found


def groups() -> QuerySet[Group]:
    """Return all groups; which exist is no secret among people who are signed in."""
    return Group.objects.all()


def group_by_slug(slug: str) -> Group | None:
    return Group.objects.filter(slug=slug).first() if NAME_PATTERN.fullmatch(slug) else None


def permissions_of_group(group: Group) -> list[str]:
    """Return the permissions that every member of the group has, sorted."""
    return list(group.permissions.order_by("permission").values_list("permission", flat=True))


def facts_of(user: User) -> dict[str, Any]:
    """Return what policy may know of a person: `id` (the user name), `groups`, `manager` (a
    user name or None), `email` and the directory's `attributes`.
    """
    return {
        "id": user.username,
        "groups": sorted(groups_of(user)),
        "manager": user.manager.username if user.manager else None,
        "email": user.email,
        "attributes": dict(user.attributes),
    }


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """Return the person's own tokens, newest first, revoked and expired ones too."""
    return ApiToken.objects.filter(user=user)


def own_token(user: User, pk: uuid.UUID | str) -> ApiToken:
    """Return the token if it is the person's own, else raise NotFound."""
    try:
        found = tokens_of(user).filter(pk=uuid.UUID(str(pk))).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFound("You have no such token; list yours on the account page.")
    return found


def token_by_digest(digest: str) -> ApiToken | None:
    """Return the token with its owner, in one statement, or None; `is_of_only_account` tells
    whether that is the only account of its human.
    """
    others = User.objects.filter(person_id=OuterRef("user__person_id")).exclude(
        pk=OuterRef("user_id")
    )
    tokens = ApiToken.objects.select_related("user__manager").annotate(
        is_of_only_account=~Exists(others)
    )
    return tokens.filter(digest=digest).first()


def has_second_factor(user: User) -> bool:
    """Return whether the person has an authenticator in use."""
    return TotpDevice.objects.filter(user=user, confirmed_at__isnull=False).exists()


def unfinished_enrolment(user: User, pk: str) -> TotpDevice | None:
    """Return that authenticator of the person's if it still waits to be confirmed."""
    return (
        TotpDevice.objects.select_related("user")
        .filter(user=user, pk=pk, confirmed_at__isnull=True)
        .first()
    )


def recovery_codes_left(user: User) -> int:
    return RecoveryCode.objects.filter(user=user, used_at__isnull=True).count()


def saved_views(user: User, *, page: str) -> QuerySet[SavedView]:
    """Return the person's own views of a page, by name."""
    return SavedView.objects.filter(user=user, page=page)


def own_view(user: User, pk: uuid.UUID) -> SavedView:
    """Return the view if it is the person's own, else raise NotFound."""
    found = SavedView.objects.filter(user=user, pk=pk).first()
    if found is None:
        raise NotFound("You have no such view; it may be deleted already.")
    return found

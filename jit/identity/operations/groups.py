"""Groups: who is in them, and which permissions their members have."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.audit.events import Subject
from jit.identity.models import Group, GroupPermission, Membership, User
from jit.identity.permissions import Permission
from jit.kernel import tasks
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, InvalidInput


class GroupExists(Conflict):
    """A group of this slug exists."""


class UnknownPermission(InvalidInput):
    """The list of permissions is closed; the detail names them."""


def create_group(*, slug: str, name: str, actor: Actor, now: dt.datetime) -> Group:
    """Make an empty group without permissions. Raises GroupExists or InvalidInput."""
    group = Group(slug=slug, name=name or slug)
    try:
        group.clean_fields()
    except ValidationError as invalid:
        raise InvalidInput(
            "A group's slug is lower-case letters, digits, dots, dashes and underscores.",
            fields=invalid.message_dict,
        ) from invalid
    with transaction.atomic():
        try:
            with transaction.atomic():
                group.save(force_insert=True)
        except IntegrityError as taken:
            raise GroupExists(f"The group {slug} exists already; add people to it.") from taken
        _record("group.created", group, actor=actor, now=now, body={"name": group.name})
    return group


def add_member(*, group: Group, user: User, actor: Actor, now: dt.datetime) -> bool:
    """Put `user` into `group`; return False when they were in it already."""
    with transaction.atomic():
        _, new = Membership.objects.get_or_create(group=group, user=user)
        if new:
            body = {"user": user.username}
            _record("group.member-added", group, actor=actor, now=now, body=body)
            _tell_of_change(group)
    user.forget_memberships()
    return new


def remove_member(*, group: Group, user: User, actor: Actor, now: dt.datetime) -> bool:
    """Take `user` out of `group`; return False when they were not in it.

    What they hold by it is asked again at decision, activation and session start.
    """
    with transaction.atomic():
        gone, _ = Membership.objects.filter(group=group, user=user).delete()
        if gone:
            body = {"user": user.username}
            _record("group.member-removed", group, actor=actor, now=now, body=body)
            _tell_of_change(group)
    user.forget_memberships()
    return bool(gone)


def give_permission(*, group: Group, permission: str, actor: Actor, now: dt.datetime) -> bool:
    """Give every member of `group` a permission; return False when they had it already.

    Raises UnknownPermission.
    """
    known = _known(permission)
    with transaction.atomic():
        _, new = GroupPermission.objects.get_or_create(group=group, permission=known.value)
        if new:
            body = {"permission": known}
            _record("group.permission-added", group, actor=actor, now=now, body=body)
    return new


def take_permission(*, group: Group, permission: str, actor: Actor, now: dt.datetime) -> bool:
    """Take a permission from the group; return False when it had none."""
    with transaction.atomic():
        gone, _ = GroupPermission.objects.filter(group=group, permission=permission).delete()
        if gone:
            body = {"permission": permission}
            _record("group.permission-removed", group, actor=actor, now=now, body=body)
    return bool(gone)


def _tell_of_change(group: Group) -> None:
    for task in settings.GROUP_CHANGED_TASKS:
        tasks.enqueue_on_commit(task, group.slug)


def _known(permission: str) -> Permission:
    try:
        return Permission(permission)
    except ValueError as unknown:
        raise UnknownPermission(
            f"Choose a permission of: {', '.join(sorted(one.value for one in Permission))}."
        ) from unknown


def _record(
    action: str, group: Group, *, actor: Actor, now: dt.datetime, body: dict[str, Any]
) -> None:
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=Subject(type="group", id=str(group.id), label=group.slug),
        body=body,
    )

"""Accounts: made, given a password, disabled and enabled again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.audit.events import Erasable, Subject
from jit.identity import live
from jit.identity.models import ApiToken, User
from jit.identity.operations import tokens
from jit.kernel import zones
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, DomainError, InvalidInput
from jit.kernel.tasks import enqueue_on_commit


class UsernameTaken(Conflict):
    """Somebody has this user name, maybe somebody disabled: history keeps names."""


class PasswordTooWeak(DomainError):
    """The password fails the validators; `fields` says which."""


@dataclass(frozen=True, slots=True)
class Departure:
    """What disabling an account cut at once. Its requests and grants end by the task
    `jit.workflow.requester_left`, which was enqueued.
    """

    user_id: str
    was_active: bool
    tokens_revoked: int


def subject_of(user: User) -> Subject:
    return Subject(type="user", id=str(user.id), label=user.username)


def create_user(
    *,
    username: str,
    actor: Actor,
    now: dt.datetime,
    display_name: str = "",
    email: str = "",
    timezone: str = "UTC",
    password: str | None = None,
    manager: User | None = None,
    same_person_as: User | None = None,
    attributes: dict[str, Any] | None = None,
) -> User:
    """Make an account, as the same human as `same_person_as` if given.

    Without a password nobody can sign in by one. Raises UsernameTaken, PasswordTooWeak, or
    InvalidInput with the fields at fault.
    """
    user = User(
        username=username.lower(),
        display_name=display_name,
        email=email,
        timezone=timezone,
        manager=manager,
        attributes=attributes or {},
        created_at=now,
    )
    user.person_id = same_person_as.person_id if same_person_as else user.id
    if password is None:
        user.set_unusable_password()
    else:
        check_password_strength(password, user=user)
        user.set_password(password)
    _check_fields(user)
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save(force_insert=True)
        except IntegrityError as taken:
            raise UsernameTaken(
                f"{user.username} exists already; choose another user name.",
                fields={"username": ["This user name is taken."]},
            ) from taken
        body: dict[str, Any] = {"username": user.username, "person_id": user.person_id}
        if email:
            body["email"] = Erasable(value=email, person=str(user.id))
        if same_person_as:
            body["same_person_as"] = same_person_as.username
        audit.record(
            action="user.created", actor=actor, now=now, subject=subject_of(user), body=body
        )
    return user


def _check_fields(user: User) -> None:
    fields: dict[str, list[str]] = {}
    try:
        user.clean_fields()
    except ValidationError as invalid:
        fields = invalid.message_dict
    if user.timezone not in zones.names():
        fields["timezone"] = ["Name a zone of the IANA database, such as Europe/Berlin."]
    if "\0" in user.display_name:
        fields["display_name"] = ["Leave out the NUL character."]
    if fields:
        detail = f"The account can't be made: check {', '.join(sorted(fields))}."
        raise InvalidInput(detail, fields=fields)


def check_password_strength(password: str, *, user: User) -> None:
    """Raise PasswordTooWeak unless the password passes AUTH_PASSWORD_VALIDATORS (or, where the
    settings name none, is 12 characters or longer and not the user's own data).
    """
    validators = password_validation.get_default_password_validators() or _VALIDATORS
    try:
        password_validation.validate_password(password, user=user, password_validators=validators)
    except ValidationError as weak:
        raise PasswordTooWeak(
            f"Choose another password. {' '.join(weak.messages)}",
            fields={"password": list(weak.messages)},
        ) from weak


_VALIDATORS: list[Any] = [
    password_validation.MinimumLengthValidator(12),
    password_validation.CommonPasswordValidator(),
    password_validation.UserAttributeSimilarityValidator(
        user_attributes=("username", "display_name", "email")
    ),
]


def set_password(*, user: User, password: str, actor: Actor, now: dt.datetime) -> None:
    """Give the account a password. All its browser sessions end, the one that asks too unless
    the view calls `django.contrib.auth.update_session_auth_hash`.

    Raises PasswordTooWeak.
    """
    check_password_strength(password, user=user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(action="user.password-changed", actor=actor, now=now, subject=subject_of(user))
        live.ask_again_on_commit(user)


def set_timezone(*, user: User, timezone: str, actor: Actor, now: dt.datetime) -> None:
    """Choose the IANA zone in which the person is shown times. Raises InvalidInput."""
    if timezone not in zones.names():
        raise InvalidInput(
            "Name a zone of the IANA database, such as Europe/Berlin.",
            fields={"timezone": ["Name a zone of the IANA database, such as Europe/Berlin."]},
        )
    user.timezone = timezone
    with transaction.atomic():
        user.save(update_fields=["timezone"])
        audit.record(
            action="user.changed",
            actor=actor,
            now=now,
            subject=subject_of(user),
            body={"timezone": timezone},
        )


def end_browser_sessions(*, user: User, actor: Actor, now: dt.datetime) -> None:
    """End every browser session and websocket of the account."""
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        user.session_epoch = locked.session_epoch + 1
        user.save(update_fields=["session_epoch"])
        audit.record(action="user.sessions-ended", actor=actor, now=now, subject=subject_of(user))
        live.ask_again_on_commit(user)


def disable_user(*, user: User, actor: Actor, now: dt.datetime, reason: str = "") -> Departure:
    """Shut the account: no sign-in, no browser session, no websocket and no token works from
    the commit on. What the person had on targets is ended by the task
    `jit.workflow.requester_left`, enqueued on commit with the user's id.

    Disabling a disabled account changes nothing, but enqueues that task again.
    """
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        was_active = locked.is_active
        revoked = 0
        if was_active:
            user.is_active = False
            user.disabled_at = now
            user.session_epoch = locked.session_epoch + 1
            user.save(update_fields=["is_active", "disabled_at", "session_epoch"])
            for token in ApiToken.objects.filter(user=user, revoked_at__isnull=True):
                tokens.revoke_token(token=token, actor=actor, now=now)
                revoked += 1
            audit.record(
                action="user.disabled",
                actor=actor,
                now=now,
                subject=subject_of(user),
                body={"reason": reason, "tokens_revoked": revoked},
            )
        enqueue_on_commit("jit.workflow.requester_left", str(user.pk), expires=None)
        live.ask_again_on_commit(user)
    return Departure(user_id=str(user.pk), was_active=was_active, tokens_revoked=revoked)


def enable_user(*, user: User, actor: Actor, now: dt.datetime) -> None:
    """Open a disabled account again. Its old sessions and tokens stay dead."""
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.is_active:
            return
        user.is_active = True
        user.disabled_at = None
        user.save(update_fields=["is_active", "disabled_at"])
        audit.record(action="user.enabled", actor=actor, now=now, subject=subject_of(user))

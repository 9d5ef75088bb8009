"""Accounts and groups, and what proves that somebody is who they say."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property

from jit.identity.permissions import EVERYBODY, SCOPE_OF, Permission, Scope
from jit.kernel.fields import Uuid7Field
from jit.kernel.loading import LoadedQuickly

NAME = r"^[a-z0-9][a-z0-9._-]*$"
"""User names and group slugs: what may stand in `user:…` and `group:…` without quoting."""
NAME_PATTERN = re.compile(NAME)

LONGEST_TOKEN_LIFE = dt.timedelta(days=366)


class UserManager(BaseUserManager["User"]):
    """Django finds people by their user name through this; we use `queries`."""


class User(LoadedQuickly, AbstractBaseUser):
    """One account. Two accounts of one human share `person_id`, so that four eyes are four.

    `session_epoch` is part of every browser session's fingerprint: raising it ends them all.
    `attributes` holds what the directory says and policy may read (`{"department": "…"}`).
    """

    id = Uuid7Field()
    username = models.CharField(max_length=100, unique=True, validators=[RegexValidator(NAME)])
    display_name = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    timezone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField(default=True)
    person_id = models.UUIDField(db_index=True, editable=False)
    manager = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="reports"
    )
    attributes = models.JSONField(default=dict, blank=True)
    session_epoch = models.PositiveIntegerField(default=0)
    second_factor_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True, blank=True)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["username"]
        constraints = [
            models.CheckConstraint(condition=Q(username__regex=NAME), name="user_name_plain"),
            models.CheckConstraint(
                condition=Q(is_active=True, disabled_at__isnull=True)
                | Q(is_active=False, disabled_at__isnull=False),
                name="disabled_user_has_a_time",
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def save(self, *args: Any, **options: Any) -> None:
        """Save; an account that is linked to nobody is a person of its own."""
        if self.person_id is None:
            self.person_id = self.id
        super().save(*args, **options)

    # What a browser session of this account is bound to.

    def get_session_auth_hash(self) -> str:
        return self._fingerprint(secret=None)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        for secret in settings.SECRET_KEY_FALLBACKS:
            yield self._fingerprint(secret=secret)

    def _fingerprint(self, *, secret: str | bytes | None) -> str:
        value = f"{self.password}\0{self.session_epoch}"
        return salted_hmac(
            "jit.identity.session", value, secret=secret, algorithm="sha256"
        ).hexdigest()

    second_factor_verified: bool = False
    """Set by the middleware: the person came in a browser and passed their second factor."""

    # Groups and permissions, read once per instance: load a new one to ask again.

    token_scopes: frozenset[Scope] | None = None
    """The scopes of the API token the person came with; None in a browser."""

    is_only_account: bool = False
    """Set where it was looked up with the token: the human has no other account."""

    @cached_property
    def _memberships(self) -> tuple[frozenset[str], frozenset[str]]:
        rows = self.memberships.values_list("group__slug", "group__permissions__permission")
        slugs, permissions = set(), set()
        for slug, permission in rows.order_by():
            slugs.add(slug)
            permissions.add(permission)
        return frozenset(slugs), frozenset(permissions - {None})

    @property
    def group_slugs(self) -> frozenset[str]:
        return self._memberships[0]

    @property
    def permissions(self) -> frozenset[Permission]:
        if not self.is_active:
            return frozenset()
        given = self._memberships[1]
        mine = EVERYBODY | {permission for permission in Permission if permission.value in given}
        if self.token_scopes is None:
            return mine
        return frozenset(one for one in mine if SCOPE_OF[one] in self.token_scopes)

    def forget_memberships(self) -> None:
        """Make the next question about groups or permissions ask the database."""
        self.__dict__.pop("_memberships", None)


class Group(models.Model):
    """People who hold something together: permissions, roles they own, steps they answer."""

    id = Uuid7Field()
    slug = models.CharField(max_length=100, unique=True, validators=[RegexValidator(NAME)])
    name = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(condition=Q(slug__regex=NAME), name="group_slug_plain")
        ]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "group"], name="one_membership_per_group")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.group_id}"


class GroupPermission(models.Model):
    """One permission that every member of the group has."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="permissions")
    permission = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "permission"], name="one_permission_per_group")
        ]

    def __str__(self) -> str:
        return f"{self.permission} for {self.group_id}"


class ApiToken(models.Model):
    """A bearer token; only the SHA-256 of it is kept. `prefix` is what people see of it."""

    id = Uuid7Field()
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at"))
                & Q(expires_at__lte=F("created_at") + LONGEST_TOKEN_LIFE),
                name="token_life_bounded",
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class TotpDevice(models.Model):
    """An authenticator app (RFC 6238). The secret is sealed for this row; `last_step` is the
    latest time step whose code was taken, so that no code works twice. Failures slow down
    every second factor of the account, recovery codes too.
    """

    id = Uuid7Field()
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="totp_devices")
    name = models.CharField(max_length=100, blank=True)
    sealed_secret = models.BinaryField()
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=-1)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(confirmed_at__isnull=False),
                name="one_confirmed_totp_per_user",
            )
        ]

    def __str__(self) -> str:
        return f"authenticator of {self.user_id}"

    @staticmethod
    def address(pk: uuid.UUID) -> str:
        """Return what the secret of row `pk` is sealed for."""
        return f"identity.totp:{pk}:secret"


class RecoveryCode(models.Model):
    """A code for the day the authenticator is lost; works once. Only its SHA-256 is kept."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="recovery_codes")
    digest = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "digest"], name="one_recovery_code_per_digest")
        ]

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class SignInAttempts(models.Model):
    """Attempts since the last success, by account and address.

    `account` is a keyed digest of the name as typed (people type passwords there), or empty
    for all accounts from one address. Kept in the database, so that losing the cache never
    gives anybody more guesses.
    """

    id = models.BigAutoField(primary_key=True)
    account = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64)
    count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "address"], name="one_count_per_origin")
        ]
        indexes = [models.Index(fields=["last_at"], name="sign_in_attempts_old")]

    def __str__(self) -> str:
        return f"{self.count} from {self.address}"


class SavedView(models.Model):
    """A filter of a page that its owner comes back to; `wanted` is what its address says."""

    id = Uuid7Field()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=20)
    name = models.CharField(max_length=60)
    wanted = models.JSONField()
    saved_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "page", "name"], name="saved_view_once_by_name")
        ]

    def __str__(self) -> str:
        return self.name

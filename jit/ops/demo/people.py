"""The demo's people and groups, each able to sign in by password, TOTP and API token."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from dataclasses import dataclass

from django_otp.oath import TOTP

from jit.identity import operations, queries
from jit.identity.models import Group, User
from jit.identity.permissions import Permission, Scope
from jit.kernel.actor import Actor

GROUPS: dict[str, tuple[str, tuple[Permission, ...]]] = {
    "payments-sre": ("Payments SRE", ()),
    "payments-leads": ("Payments leads", ()),
    "sre-managers": ("SRE managers", (Permission.POLICY_READ, Permission.POLICY_ACTIVATE)),
    "auditors": (
        "Auditors",
        (
            Permission.REQUEST_READ_ALL,
            Permission.GRANT_READ_ALL,
            Permission.REVIEW_READ_ALL,
            Permission.SESSION_READ_ALL,
            Permission.AUDIT_READ,
            Permission.AUDIT_EXPORT,
            Permission.CATALOG_READ_ALL,
            Permission.POLICY_READ,
        ),
    ),
    "operators": (
        "Operators",
        (
            Permission.REQUEST_READ_ALL,
            Permission.GRANT_READ_ALL,
            Permission.GRANT_REVOKE,
            Permission.CATALOG_READ_ALL,
            Permission.CATALOG_SYNC,
            Permission.POLICY_READ,
            Permission.POLICY_PROPOSE,
            Permission.TICKET_MANAGE,
            Permission.USER_MANAGE,
            Permission.WEBHOOK_MANAGE,
            Permission.OPERATIONS_READ,
        ),
    ),
}
PEOPLE = {
    "rita": ("Rita Ruiz", "payments-sre"),
    "ada": ("Ada Abara", "payments-leads"),
    "bo": ("Bo Berg", "payments-leads"),
    "olga": ("Olga Orlova", "sre-managers"),
    "udo": ("Udo Ude", "auditors"),
    "opal": ("Opal Ong", "operators"),
    "otto": ("Otto Oak", None),
}
_SCOPES = {
    "udo": (Scope.READ, Scope.REQUEST, Scope.AUDIT),
    "opal": (Scope.READ, Scope.REQUEST, Scope.OPERATE, Scope.DECIDE),
}
_USUAL = (Scope.READ, Scope.REQUEST, Scope.DECIDE, Scope.AUDIT)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What one demo person signs in with; written to demo.json and nowhere else."""

    password: str
    totp_secret: str
    token: str


def make_groups(*, actor: Actor, now: dt.datetime) -> dict[str, Group]:
    groups = {}
    for slug, (name, permissions) in GROUPS.items():
        group = queries.group_by_slug(slug) or operations.create_group(
            slug=slug, name=name, actor=actor, now=now
        )
        for permission in permissions:
            operations.give_permission(group=group, permission=permission, actor=actor, now=now)
        groups[slug] = group
    return groups


def make_person(
    username: str, *, groups: dict[str, Group], actor: Actor, now: dt.datetime
) -> Secrets:
    """Make the account with fresh secrets and return them; the one time they can be read."""
    display_name, group = PEOPLE[username]
    password = "-".join(secrets.token_hex(3) for _ in range(3))
    user = operations.create_user(
        username=username,
        display_name=display_name,
        email=f"{username}@demo.invalid",
        password=password,
        actor=actor,
        now=now,
    )
    if group:
        operations.add_member(group=groups[group], user=user, actor=actor, now=now)
    _, token = operations.create_token(
        user=user,
        name="demo",
        scopes=_SCOPES.get(username, _USUAL),
        expires_at=now + dt.timedelta(days=90),
        actor=actor,
        now=now,
    )
    return Secrets(password=password, totp_secret=_enrol(user, actor=actor, now=now), token=token)


def _enrol(user: User, *, actor: Actor, now: dt.datetime) -> str:
    """Enrol an authenticator and return its base32 secret. The code that confirms it is one
    of some minutes ago, so that the person's next one is theirs to use.
    """
    earlier = now - dt.timedelta(minutes=5)
    device = operations.enroll_totp(user=user, now=earlier, name="demo")
    secret = operations.describe_enrolment(device).secret
    totp = TOTP(base64.b32decode(secret), step=30, digits=6)
    totp.time = earlier.timestamp()
    operations.confirm_totp(device=device, code=f"{totp.token():06d}", actor=actor, now=earlier)
    return secret

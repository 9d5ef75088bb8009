"""People of the tests, made by the product's own operations, and their way in."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

from django.test import Client
from django_otp import oath

from jit.identity import browser, operations, queries
from jit.identity.models import Group, User
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel

INSTALLER = Actor(
    kind=ActorKind.SERVICE, id="terminal:tests", name="terminal:tests", channel=Channel.CLI
)
PASSWORD = "correct horse battery"


def group(slug: str, *permissions: Permission) -> Group:
    """Return the group, made if need be, with these permissions."""
    now = clock.now()
    found = queries.group_by_slug(slug) or operations.create_group(
        slug=slug, name=slug, actor=INSTALLER, now=now
    )
    for permission in permissions:
        operations.give_permission(group=found, permission=permission, actor=INSTALLER, now=now)
    return found


def person(username: str, *groups: str, **more: Any) -> User:
    """Return an account in these groups; it has no password unless `password` is given."""
    now = more.pop("now", None) or clock.now()
    user = operations.create_user(username=username, actor=INSTALLER, now=now, **more)
    for slug in groups:
        operations.add_member(group=group(slug), user=user, actor=INSTALLER, now=now)
    return user


def known_as(username: str) -> User:
    """Return the account of that name, made if need be."""
    return queries.user_by_username(username) or person(username)


def acting(user: User, channel: Channel = Channel.WEB) -> Actor:
    return Actor(kind=ActorKind.USER, id=str(user.id), name=user.username, channel=channel)


def token(user: User, *scopes: Scope, days: int = 30) -> str:
    """Return a bearer token of the person with these scopes (all, if none are named)."""
    now = clock.now()
    _, plain = operations.create_token(
        user=user,
        name="tests",
        scopes=scopes or tuple(Scope),
        expires_at=now + dt.timedelta(days=days),
        actor=acting(user),
        now=now,
    )
    return plain


def signed_in(client: Client, user: User, *, at: dt.datetime | None = None) -> Client:
    """Return `client` with a browser session of `user` that passed the second factor `at`."""
    client.force_login(user)
    session = client.session
    browser.remember_second_factor(session, at=at or clock.now(), method="totp")
    session.save()
    return client


class Authenticator:
    """The app on somebody's telephone: it shows codes, and knows nothing else."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def code(self, now: dt.datetime, *, ahead: int = 0) -> str:
        """Return what is shown at `now`, or `ahead` periods later."""
        step = int(now.timestamp()) // 30 + ahead
        return f"{oath.hotp(base64.b32decode(self.secret), step):06d}"


def enrolled(user: User, *, now: dt.datetime) -> Authenticator:
    """Return the authenticator that `user` confirmed a minute before `now`: the codes of `now`
    and its neighbours are unused.
    """
    before = now - dt.timedelta(seconds=90)
    device = operations.enroll_totp(user=user, now=before)
    app = Authenticator(operations.describe_enrolment(device).secret)
    operations.confirm_totp(device=device, code=app.code(before), actor=acting(user), now=before)
    return app

"""One-use passwords: made for one door of one grant, good for one session, then dead."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from jit.audit import operations as audit
from jit.elevation.models import Grant
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor, ActorKind, Channel
from sessions.models import OneUseToken
from sessions.states import Door

PREFIX = "jit_one"
KNOWN = 10
"""Passwords of one grant at one door that may wait to be used at once."""
_BYTES = 20
"""160 random bits: nobody guesses them, and people can still paste them."""


def issue(
    *, grant: Grant, door: Door, now: dt.datetime, verifier: Mapping[str, Any] | None = None,
    plain: str = "", source_address: str = "", client: str = "",
) -> str:  # fmt: skip
    """Return a fresh password for `grant` through `door`. The ones before stay good, so that
    a pool's connections don't take each other's away, but only the KNOWN newest. In the caller's
    transaction. `verifier` and the `plain` password it was made from are for doors that never
    see the password. `source_address` and `client` are whose browser it is, where the web
    terminal comes with it.
    """
    of_grant = OneUseToken.objects.filter(grant=grant, door=door.value)
    newest = list(of_grant.values_list("pk", flat=True)[: KNOWN - 1])
    of_grant.filter(used_at__isnull=True, expires_at__gt=now).exclude(pk__in=newest).update(
        expires_at=now
    )
    plain = plain or new()
    OneUseToken.objects.create(
        grant=grant,
        user=grant.user,
        door=door.value,
        digest=digest_of(plain),
        verifier=dict(verifier or {}),
        source_address=source_address[:60],
        client=client[:200].replace("\0", ""),
        created_at=now,
        expires_at=now + dt.timedelta(seconds=settings.ONE_USE_TOKEN_LIFE),
    )
    return plain


def new() -> str:
    return f"{PREFIX}_{secrets.token_urlsafe(_BYTES)}"


def digest_of(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()


def redeem(*, plain: str, door: Door) -> OneUseToken | None:
    """Use a password up and return its row, or None when it opens nothing: unknown, used,
    past its time, for another door, or its owner disabled.
    """
    return _use(door, digest=digest_of(plain))


def redeem_proven(*, token: OneUseToken, door: Door) -> OneUseToken | None:
    """Use up a password that was proven without being sent; None when somebody was faster."""
    return _use(door, pk=token.pk)


def newest(*, external_name: str, door: Door) -> list[OneUseToken]:
    """Return the KNOWN newest passwords of the grant of this name at this door, dead ones too;
    all that may still be used are among them.
    """
    rows = OneUseToken.objects.select_related("user", "grant")
    return list(rows.filter(grant__external_name=external_name, door=door.value)[:KNOWN])


def _use(door: Door, **which: Any) -> OneUseToken | None:
    """Use the one password up, by a guard that stands on its own row alone: through a relation
    (the owner's account) Django writes a sub-select, which lets everybody in who waited there.
    """
    with transaction.atomic():
        now = db.now()
        hit = OneUseToken.objects.filter(
            **which, door=door.value, used_at__isnull=True, expires_at__gt=now
        ).update(used_at=now)
        if not hit:
            return None
        token = OneUseToken.objects.select_related("user", "grant__request").get(**which)
        if not token.user.is_active:
            transaction.set_rollback(True)
            return None
        audit.record(
            action="session.token-used",
            actor=_owner(token.user),
            now=now,
            subject=audit.Subject(type="grant", id=str(token.grant_id), label=str(token.grant)),
            body={"door": door.value},
            request_id=token.grant.request_id,
            grant_id=token.grant_id,
        )
        return token


def _owner(user: User) -> Actor:
    return Actor(kind=ActorKind.USER, id=str(user.pk), name=user.username, channel=Channel.CLI)

"""API tokens of people: made, used, revoked. The token itself is never kept."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable

from django.db import transaction

from jit.audit import operations as audit
from jit.audit.events import Subject
from jit.identity.models import LONGEST_TOKEN_LIFE, ApiToken, User
from jit.identity.permissions import Scope
from jit.kernel import crypto
from jit.kernel.actor import Actor
from jit.kernel.errors import DomainError, InvalidInput, NotAllowed

PREFIX = "jit_pat"
SHOWN = len(PREFIX) + 1 + 4
"""How many characters of a token people see again: enough to tell two apart."""
USE_NOTED_EVERY = dt.timedelta(minutes=1)


class UnknownScope(InvalidInput):
    """The token would carry a scope that does not exist, or none."""


class TokenLifeTooLong(DomainError):
    """A token must end, within a year."""


class AccountDisabled(NotAllowed):
    """A disabled account gets no token."""


def digest_of(plain: str) -> str:
    """Return what is kept of a token. SHA-256 without salt or stretching is right for 256
    random bits: nobody guesses them, and the index finds the row in one step.
    """
    return hashlib.sha256(plain.encode()).hexdigest()


def create_token(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    expires_at: dt.datetime,
    actor: Actor,
    now: dt.datetime,
) -> tuple[ApiToken, str]:
    """Make a token and return its row with the token itself, which can't be had again.

    Raises UnknownScope, TokenLifeTooLong (over 366 days or already over), AccountDisabled, or
    InvalidInput for a name that is empty or over 100 characters.
    """
    wanted = sorted({str(scope) for scope in scopes})
    known = sorted(scope.value for scope in Scope)
    if not wanted or not set(wanted) <= set(known):
        raise UnknownScope(
            f"Choose one or more scopes of: {', '.join(known)}.",
            fields={"scopes": [f"Choose from {', '.join(known)}."]},
        )
    name = name.strip()
    if not 0 < len(name) <= 100 or "\0" in name:  # noqa: PLR2004 -- the column's width
        raise InvalidInput(
            "Give the token a name of 1 to 100 characters that says what it is for.",
            fields={"name": ["1 to 100 characters."]},
        )
    if not now < expires_at <= now + LONGEST_TOKEN_LIFE:
        raise TokenLifeTooLong(
            f"Choose an end within {LONGEST_TOKEN_LIFE.days} days from now.",
            fields={"expires_at": ["After now, and within a year."]},
        )
    if not user.is_active:
        raise AccountDisabled(f"The account {user.username} is disabled; enable it first.")
    plain = crypto.new_token(PREFIX)
    token = ApiToken(
        user=user,
        name=name,
        digest=digest_of(plain),
        prefix=plain[:SHOWN],
        scopes=wanted,
        created_at=now,
        expires_at=expires_at,
    )
    with transaction.atomic():
        token.save(force_insert=True)
        audit.record(
            action="token.created",
            actor=actor,
            now=now,
            subject=_subject(token),
            body={
                "name": name,
                "owner": user.username,
                "scopes": wanted,
                "expires_at": expires_at,
            },
        )
    return token, plain


def revoke_token(*, token: ApiToken, actor: Actor, now: dt.datetime) -> None:
    """End a token at once. Revoking it again changes nothing."""
    with transaction.atomic():
        hit = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=now)
        if not hit:
            return
        token.revoked_at = now
        audit.record(
            action="token.revoked",
            actor=actor,
            now=now,
            subject=_subject(token),
            body={"name": token.name},
        )


def note_token_used(*, token: ApiToken, now: dt.datetime) -> None:
    """Write down that the token was used, at most once in USE_NOTED_EVERY."""
    if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
        return
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    token.last_used_at = now


def _subject(token: ApiToken) -> Subject:
    return Subject(type="token", id=str(token.id), label=token.prefix)

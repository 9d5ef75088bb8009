"""Who is asking: by password, by bearer token, or by the browser's session."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, ClassVar

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from jit.identity import operations, own_browser, queries
from jit.identity.models import ApiToken, User
from jit.identity.operations.tokens import digest_of
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import DomainError, NotAllowed

LONGEST_PASSWORD = 4096
"""Longer ones are wrong without being hashed: hashing a megabyte is work for an attacker's sake."""


class TokenRefused(DomainError, AuthenticationFailed):  # type: ignore[misc] # both name `detail`
    """A bearer token that opens nothing, and why. Only its holder learns which it is."""

    status: ClassVar[int] = 401
    title: ClassVar[str] = "The token was refused"


class TokenMalformed(TokenRefused):
    """The header is not `Authorization: Bearer <token>`."""


class TokenUnknown(TokenRefused):
    """No token of ours."""


class TokenRevoked(TokenRefused):
    """The token was revoked."""


class TokenExpired(TokenRefused):
    """The token's time is over."""


class TokenOwnerDisabled(TokenRefused):
    """The account behind the token is disabled."""


class ScopeMissing(NotAllowed):
    """The token does not carry the scope that this call needs."""


class SignInRequired(DomainError):
    """Nobody is signed in."""

    status: ClassVar[int] = 401


class PasswordBackend(BaseBackend):
    """User name and password. Attempts are counted before the password is looked at; a name
    that nobody has costs the same time and gets the same answer.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        *,
        now: dt.datetime | None = None,
        **_others: Any,
    ) -> User | None:
        """Return the active user whose password this is, or None.

        Raises `operations.TooManyAttempts`. Must not run inside a transaction.
        """
        if username is None or password is None:
            return None
        address = address_of(request)
        username, password = _encodable(username).strip().lower(), _encodable(password)
        own = own_browser.of(request, username)
        operations.begin_attempt(
            username=username, address=address, now=now or clock.now(), own_browser=own
        )
        user = queries.user_by_username(username)
        if len(password) > LONGEST_PASSWORD:
            return None
        if user is None:
            # The hasher runs for nobody too, so that the clock does not tell who exists.
            User().set_password(password)
            return None
        if not user.check_password(password) or not user.is_active:
            return None
        operations.forgive(username=username, address=address, own_browser=own)
        return user

    def get_user(self, user_id: uuid.UUID | str) -> User | None:
        """Return the account behind a session if it is active, else None."""
        user = queries.person(user_id)
        return user if user is not None and user.is_active else None


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer jit_pat_…` (RFC 6750). One statement finds token and owner."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        plain = rest.strip()
        if not plain or " " in plain:
            raise TokenMalformed("Send the token as `Authorization: Bearer jit_pat_…`.")
        now = clock.now()
        token = queries.token_by_digest(digest_of(plain))
        if token is None:
            raise TokenUnknown("This token is unknown. Make one on your account page.")
        if token.revoked_at is not None:
            raise TokenRevoked("This token was revoked. Make a new one on your account page.")
        if token.expires_at <= now:
            raise TokenExpired("This token has expired. Make a new one on your account page.")
        user = token.user
        if not user.is_active:
            raise TokenOwnerDisabled("The account of this token is disabled. Ask an operator.")
        known = {scope.value for scope in Scope}
        user.is_only_account = bool(getattr(token, "is_of_only_account", False))
        user.token_scopes = frozenset(Scope(scope) for scope in token.scopes if scope in known)
        # A cookie that came along says nothing about who holds the token.
        underlying: Any = request._request  # noqa: SLF001 -- DRF offers no other way down
        underlying.second_factor_at = None
        operations.note_token_used(token=token, now=now)
        return user, token

    def authenticate_header(self, request: Request) -> str:
        """Return the `WWW-Authenticate` of a 401 (RFC 6750, section 3)."""
        if request.headers.get("Authorization", "").lower().startswith("bearer"):
            return 'Bearer realm="jit", error="invalid_token"'
        return 'Bearer realm="jit"'


class BrowserSession(SessionAuthentication):
    """The browser's cookie, with CSRF, once the second factor has passed."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        user = getattr(request._request, "user", None)  # noqa: SLF001 -- as DRF's own does
        if not getattr(user, "second_factor_verified", False):
            return None
        found = super().authenticate(request)
        return None if found is None else (found[0], None)


def address_of(request: HttpRequest | None) -> str:
    """Return the client's address, which `jit.ops.proxies` found behind trusted proxies."""
    return str(request.META.get("REMOTE_ADDR", "")) if request is not None else ""


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


def token_of(request: HttpRequest | Request) -> ApiToken | None:
    """Return the bearer token the request came with, or None for a browser."""
    token = getattr(request, "auth", None)
    return token if isinstance(token, ApiToken) else None


def actor_of(request: HttpRequest | Request) -> Actor:
    """Return who acts: the signed-in person, by the channel `api` with a token, else `web`.

    Raises SignInRequired when nobody is signed in.
    """
    user = signed_in_user(request)
    channel = Channel.API if token_of(request) else Channel.WEB
    return actor_for(user, channel=channel)


def signed_in_user(request: HttpRequest | Request) -> User:
    """Return the signed-in person. Raises SignInRequired when there is none."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        raise SignInRequired("Sign in first.")
    return user


def actor_for(user: User, *, channel: Channel) -> Actor:
    return Actor(kind=ActorKind.USER, id=str(user.id), name=user.username, channel=channel)


def require_scope(request: HttpRequest | Request, scope: Scope) -> None:
    """Raise ScopeMissing unless the request's token carries `scope`; browsers carry all."""
    token = token_of(request)
    if token is not None and scope.value not in token.scopes:
        raise ScopeMissing(
            f"This token lacks the scope `{scope.value}`. Make one that carries it on your"
            " account page.",
            extra={"scope": scope.value},
        )

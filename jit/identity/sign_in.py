"""Signing in: the password, then the second factor; only then is anybody in the session.

Between the two the session holds a pending sign-in that nothing but this module reads. Its
key changes after the password and after the second factor, so that a key planted in the
browser before opens nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django.contrib import auth
from django.db import transaction
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from jit.audit import operations as audit
from jit.audit.events import Erasable, Subject
from jit.identity import browser, live, operations, queries
from jit.identity.authentication import actor_for, actor_of, address_of
from jit.identity.models import TotpDevice, User
from jit.identity.operations.second_factors import Enrolment
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import DomainError

PENDING = "jit_sign_in"
PENDING_FOR = dt.timedelta(minutes=10)
BACKEND = "jit.identity.authentication.PasswordBackend"
_NOBODY = Actor(kind=ActorKind.USER, id="unknown", name="somebody", channel=Channel.WEB)


class SignInRefused(DomainError):
    """The user name or the password is wrong, or the account is disabled: never said which."""

    status: ClassVar[int] = 401


class SignInNotBegun(DomainError):
    """There is no password to add a second factor to, or it was given too long ago."""

    status: ClassVar[int] = 401


def begin(*, request: HttpRequest, username: str, password: str, now: dt.datetime) -> User:
    """Check the password and remember a pending sign-in; the person is not signed in yet.

    What comes next is the code, or for a person without `queries.has_second_factor` the
    enrolment. Raises SignInRefused or TooManyAttempts. Must not run inside a transaction.
    """
    user = auth.authenticate(request, username=username, password=password, now=now)
    if not isinstance(user, User):
        _record_failure(username=username, address=address_of(request), now=now)
        raise SignInRefused("The user name or the password is wrong. Try again.")
    request.session.flush()
    request.session[PENDING] = {
        "user": str(user.pk),
        "at": now.isoformat(),
        "fingerprint": user.get_session_auth_hash(),
    }
    request.session.cycle_key()
    return user


def pending_user(*, request: HttpRequest, now: dt.datetime) -> User | None:
    """Return who gave their password in the last PENDING_FOR, or None."""
    pending = request.session.get(PENDING)
    if not pending or now - dt.datetime.fromisoformat(pending["at"]) >= PENDING_FOR:
        return None
    user = queries.person(pending["user"])
    if user is None or not user.is_active:
        return None
    if not constant_time_compare(pending["fingerprint"], user.get_session_auth_hash()):
        return None
    return user


def finish(*, request: HttpRequest, code: str, now: dt.datetime) -> User:
    """Check the code of the authenticator (or a recovery code), and sign the person in.

    Raises SignInNotBegun, NoSecondFactor, CodeWrong, CodeAlreadyUsed or TooManyAttempts. Must
    not run inside a transaction.
    """
    user = _require_pending(request, now=now)
    actor = actor_for(user, channel=Channel.WEB)
    method = operations.verify_second_factor(
        user=user, code=code, actor=actor, now=now, act="sign-in"
    )
    _enter(request, user=user, method=method, now=now)
    return user


def enrolment(*, request: HttpRequest, now: dt.datetime) -> Enrolment:
    """Return what a person without an authenticator needs to set one up at their first sign-in;
    the same again when this browser asks again, never what another browser was shown.

    Raises SignInNotBegun or AlreadyEnrolled.
    """
    user = _require_pending(request, now=now)
    if queries.has_second_factor(user):
        raise operations.AlreadyEnrolled("You have an authenticator; type the code it shows.")
    device = _device_of(request, user)
    if device is None:
        device = operations.enroll_totp(user=user, now=now)
        request.session[PENDING] |= {"device": str(device.pk)}
        request.session.modified = True
    return operations.describe_enrolment(device)


def finish_enrolment(*, request: HttpRequest, code: str, now: dt.datetime) -> list[str]:
    """Confirm the authenticator by a code from it, sign the person in, and return their
    recovery codes, to be shown this once.

    Raises SignInNotBegun, AlreadyEnrolled, CodeWrong or TooManyAttempts. Must not run inside
    a transaction.
    """
    user = _require_pending(request, now=now)
    device = _device_of(request, user)
    if device is None:
        raise SignInNotBegun("The enrolment was begun elsewhere since. Scan the new code.")
    actor = actor_for(user, channel=Channel.WEB)
    operations.confirm_totp(device=device, code=code, actor=actor, now=now)
    codes = operations.issue_recovery_codes(user=user, actor=actor, now=now)
    _enter(request, user=user, method="totp", now=now)
    return codes


def sign_out(*, request: HttpRequest, now: dt.datetime) -> None:
    """End this browser session and throw away what it held; its open pages leave at once."""
    with transaction.atomic():
        if isinstance(request.user, User):
            audit.record(
                action="user.signed-out",
                actor=actor_of(request),
                now=now,
                subject=_subject(request.user),
            )
            live.ask_again_on_commit(request.user)
        auth.logout(request)


def _require_pending(request: HttpRequest, *, now: dt.datetime) -> User:
    user = pending_user(request=request, now=now)
    if user is None:
        raise SignInNotBegun("Type your user name and password first.")
    return user


def _device_of(request: HttpRequest, user: User) -> TotpDevice | None:
    pk = request.session[PENDING].get("device")
    return queries.unfinished_enrolment(user, pk) if pk else None


def _enter(request: HttpRequest, *, user: User, method: str, now: dt.datetime) -> None:
    # One transaction: nobody is signed in without the event that says so.
    with transaction.atomic():
        del request.session[PENDING]
        auth.login(request, user, backend=BACKEND)
        browser.remember_second_factor(request.session, at=now, method=method)
        body = {
            "method": method,
            "address": Erasable(value=address_of(request), person=str(user.pk)),
        }
        audit.record(
            action="user.signed-in",
            actor=actor_for(user, channel=Channel.WEB),
            now=now,
            subject=_subject(user),
            body=body,
        )
    marked: Any = request
    marked.user = browser.admit(user)
    marked.second_factor_at = now


def _record_failure(*, username: str, address: str, now: dt.datetime) -> None:
    """Write down a wrong password. A name nobody has is not kept: people type passwords there."""
    user = queries.user_by_username(username.strip().lower())
    subject = _subject(user) if user else Subject(type="user", id="unknown", label="unknown")
    person = str(user.pk) if user else "unknown"
    with transaction.atomic():
        audit.record(
            action="user.sign-in-failed",
            actor=_NOBODY,
            now=now,
            subject=subject,
            body={"address": Erasable(value=address, person=person)},
        )


def _subject(user: User) -> Subject:
    return Subject(type="user", id=str(user.pk), label=user.username)

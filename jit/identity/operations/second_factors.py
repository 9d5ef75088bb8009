"""Second factors: an authenticator app (RFC 6238), and recovery codes for when it is lost."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import segno
from django.conf import settings
from django.db import transaction
from django_otp import oath

from jit.audit import operations as audit
from jit.identity.models import RecoveryCode, TotpDevice, User
from jit.identity.operations.attempts import refuse_until, wait_after
from jit.identity.operations.users import end_browser_sessions, subject_of
from jit.kernel import crypto
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, DomainError

PERIOD = 30
"""Seconds that one code is shown."""
DIGITS = 6
TOLERANCE = 1
"""Periods by which the person's clock may be off, to either side."""
FREE_CODES = 1
"""Wrong codes before waiting doubles: 1, 2, 4, … seconds (django-otp's ThrottlingMixin)."""
RECOVERY_CODES = 10
_RECOVERY_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is misread
_RECOVERY_LENGTH = 16


class NoSecondFactor(DomainError):
    """The account has no second factor yet; it must enrol one first."""


class AlreadyEnrolled(Conflict):
    """The account has an authenticator; replacing it is an act of its own."""


class CodeWrong(DomainError):
    """The code is not the one shown now."""


class CodeAlreadyUsed(DomainError):
    """The code was right, but it was used before: somebody may have watched it."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a person needs to set up their authenticator; never shown again once confirmed."""

    secret: str
    uri: str
    svg: str


def enroll_totp(*, user: User, now: dt.datetime, name: str = "") -> TotpDevice:
    """Make an authenticator that counts only after `confirm_totp`.

    The secret is always fresh and an unfinished enrolment is thrown away, so that nobody who
    began one earlier knows the secret that is confirmed now. Nothing is proven yet, so there
    is no audit event yet either.
    """
    device = TotpDevice(user=user, name=name, created_at=now)
    device.sealed_secret = crypto.seal(os.urandom(20), bound_to=TotpDevice.address(device.id))
    with transaction.atomic():
        TotpDevice.objects.filter(user=user, confirmed_at__isnull=True).delete()
        device.save(force_insert=True)
    return device


def describe_enrolment(device: TotpDevice) -> Enrolment:
    """Return the secret in base32, the `otpauth://` address and its QR code as an SVG element.

    Raises AlreadyEnrolled for a confirmed device: its secret is nobody's to see.
    """
    if device.confirmed_at is not None:
        raise AlreadyEnrolled("This authenticator is in use; enrol a new one to replace it.")
    secret = base64.b32encode(_secret(device)).decode()
    issuer = settings.OTP_TOTP_ISSUER
    label = quote(f"{issuer}:{device.user.username}", safe=":")
    query = urlencode(
        {"secret": secret, "issuer": issuer, "digits": DIGITS, "period": PERIOD}, quote_via=quote
    )
    uri = f"otpauth://totp/{label}?{query}"
    svg = segno.make(uri, error="m").svg_inline(scale=5, border=2, dark="#000", light="#fff")
    return Enrolment(secret=secret, uri=uri, svg=svg)


def confirm_totp(
    *, device: TotpDevice, code: str, actor: Actor, now: dt.datetime, replace: bool = False
) -> None:
    """Take the authenticator into use, because its owner read a right code from it.

    With `replace` it takes the place of the one in use; the caller has asked for a fresh
    second factor before. Raises AlreadyEnrolled, CodeWrong or TooManyAttempts. Must not run
    inside a transaction: a wrong code has to stay counted.
    """
    refusal: DomainError | None = None
    with transaction.atomic(durable=True):
        user = User.objects.select_for_update().get(pk=device.user_id)
        locked = TotpDevice.objects.select_for_update().get(pk=device.pk)
        standing = TotpDevice.objects.filter(user=user, confirmed_at__isnull=False)
        if locked.confirmed_at is not None or (not replace and standing.exists()):
            raise AlreadyEnrolled(
                "The account has an authenticator already; use that one, or replace it on the"
                " account page."
            )
        refusal = _judge(locked, code=code, actor=actor, now=now)
        if refusal is None:
            for old in standing:
                old.delete()
                _record("second-factor.removed", user, actor=actor, now=now)
            locked.confirmed_at = now
            locked.save()
            _passed(user, now=now)
            _record("second-factor.enrolled", user, actor=actor, now=now, body={"method": "totp"})
    if refusal is not None:
        raise refusal
    device.refresh_from_db()
    device.user.second_factor_at = now


def verify_second_factor(
    *, user: User, code: str, actor: Actor, now: dt.datetime, act: str = ""
) -> str:
    """Check a code from the authenticator, or a recovery code, by its looks; return the method
    (`totp` or `recovery-code`). Raises as `verify_totp` does.
    """
    if re.fullmatch(rf"[0-9]{{{DIGITS}}}", _bare(code)):
        verify_totp(user=user, code=code, actor=actor, now=now, act=act)
        return "totp"
    verify_recovery_code(user=user, code=code, actor=actor, now=now, act=act)
    return "recovery-code"


def verify_totp(*, user: User, code: str, actor: Actor, now: dt.datetime, act: str = "") -> None:
    """Check a code from the person's authenticator and write down when it was right, in
    `user.second_factor_at`; `act` says for the audit log what it was given for.

    Raises NoSecondFactor, CodeWrong, CodeAlreadyUsed or TooManyAttempts. Must not run inside
    a transaction: a wrong code has to stay counted.
    """
    with transaction.atomic(durable=True):
        device = _device_in_use(user)
        refusal = _judge(device, code=code, actor=actor, now=now, act=act)
        if refusal is None:
            device.save(update_fields=["last_step", "failures", "failed_at"])
            _passed(user, now=now)
            body = {"method": "totp", "act": act}
            _record("second-factor.passed", user, actor=actor, now=now, body=body)
    if refusal is not None:
        raise refusal


def verify_recovery_code(
    *, user: User, code: str, actor: Actor, now: dt.datetime, act: str = ""
) -> None:
    """Use up one recovery code instead of the authenticator; the same waiting holds for both.

    Raises NoSecondFactor, CodeWrong or TooManyAttempts. Must not run inside a transaction.
    """
    refusal: DomainError | None = None
    with transaction.atomic(durable=True):
        device = _device_in_use(user)
        _refuse_while_waiting(device, now=now)
        hit = RecoveryCode.objects.filter(
            user=user, digest=_recovery_digest(code), used_at__isnull=True
        ).update(used_at=now)
        if hit:
            _forget_failures(device)
            device.save(update_fields=["failures", "failed_at"])
            _passed(user, now=now)
            left = RecoveryCode.objects.filter(user=user, used_at__isnull=True).count()
            body = {"method": "recovery-code", "act": act, "left": left}
            _record("second-factor.passed", user, actor=actor, now=now, body=body)
        else:
            refusal = CodeWrong("That recovery code is unknown or was used. Take another one.")
            _failed(device, why="wrong", actor=actor, now=now, act=act)
    if refusal is not None:
        raise refusal


def issue_recovery_codes(*, user: User, actor: Actor, now: dt.datetime) -> list[str]:
    """Return fresh recovery codes (80 bits each), which can't be had again; older ones die."""
    plain = [
        "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH))
        for _ in range(RECOVERY_CODES)
    ]
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        RecoveryCode.objects.filter(user=user).delete()
        RecoveryCode.objects.bulk_create(
            RecoveryCode(user=user, digest=_recovery_digest(code), created_at=now) for code in plain
        )
        body = {"count": len(plain)}
        _record("second-factor.recovery-codes-issued", user, actor=actor, now=now, body=body)
    return ["-".join(re.findall("....", code)) for code in plain]


def remove_second_factor(*, user: User, actor: Actor, now: dt.datetime) -> None:
    """Take away the authenticator and the recovery codes of somebody who lost both; they enrol
    anew at their next sign-in. All their browser sessions end.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        TotpDevice.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user).delete()
        User.objects.filter(pk=user.pk).update(second_factor_at=None)
        user.second_factor_at = None
        _record("second-factor.removed", user, actor=actor, now=now)
        end_browser_sessions(user=user, actor=actor, now=now)


def _device_in_use(user: User) -> TotpDevice:
    device = (
        TotpDevice.objects.select_for_update().filter(user=user, confirmed_at__isnull=False).first()
    )
    if device is None:
        raise NoSecondFactor("Sign in at the web page first and enrol an authenticator there.")
    return device


def _secret(device: TotpDevice) -> bytes:
    return crypto.unseal(bytes(device.sealed_secret), bound_to=TotpDevice.address(device.id))


def _judge(
    device: TotpDevice, *, code: str, actor: Actor, now: dt.datetime, act: str = ""
) -> DomainError | None:
    """Return None when the code is right and new, having moved the locked device's memory;
    else write the failure down and return the refusal. Raises TooManyAttempts.
    """
    _refuse_while_waiting(device, now=now)
    step = _matching_step(device, code=_bare(code), now=now)
    if step is None:
        _failed(device, why="wrong", actor=actor, now=now, act=act)
        return CodeWrong("That code is not the one shown now. Type the current one.")
    if step <= device.last_step:
        _failed(device, why="replayed", actor=actor, now=now, act=act)
        return CodeAlreadyUsed("That code was used already. Wait for the next one.")
    device.last_step = step
    _forget_failures(device)
    return None


def _matching_step(device: TotpDevice, *, code: str, now: dt.datetime) -> int | None:
    secret, step = _secret(device), int(now.timestamp()) // PERIOD
    found = None
    for near in range(step - TOLERANCE, step + TOLERANCE + 1):
        right = f"{oath.hotp(secret, near, digits=DIGITS):0{DIGITS}d}"
        if hmac.compare_digest(right.encode(), code.encode(errors="replace")):
            found = near
    return found


def _refuse_while_waiting(device: TotpDevice, *, now: dt.datetime) -> None:
    if device.failed_at is None:
        return
    until = device.failed_at + wait_after(device.failures, free=FREE_CODES)
    if now < until:
        raise refuse_until(until, now=now, what="codes")


def _failed(device: TotpDevice, *, why: str, actor: Actor, now: dt.datetime, act: str) -> None:
    device.failures += 1
    device.failed_at = now
    device.save(update_fields=["failures", "failed_at"])
    body = {"why": why, "act": act, "failures": device.failures}
    _record("second-factor.failed", device.user, actor=actor, now=now, body=body)


def _forget_failures(device: TotpDevice) -> None:
    device.failures, device.failed_at = 0, None


def _passed(user: User, *, now: dt.datetime) -> None:
    User.objects.filter(pk=user.pk).update(second_factor_at=now)
    user.second_factor_at = now


def _bare(code: str) -> str:
    return re.sub(r"[\s-]", "", code)[:64].lower()


def _recovery_digest(code: str) -> str:
    return hashlib.sha256(_bare(code).encode(errors="replace")).hexdigest()


def _record(
    action: str, user: User, *, actor: Actor, now: dt.datetime, body: dict[str, Any] | None = None
) -> None:
    audit.record(action=action, actor=actor, now=now, subject=subject_of(user), body=body or {})

"""How often somebody may try a password: counted before the password is looked at."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
from typing import ClassVar

from django.db import transaction
from django.utils.crypto import salted_hmac

from jit.identity.models import SignInAttempts
from jit.kernel.errors import DomainError

FREE_PER_ACCOUNT = 5
"""Wrong passwords for one account from one address before waiting starts."""
FREE_PER_ADDRESS = 100
"""Wrong passwords from one address, whatever the account (an office may share one)."""
LONGEST_WAIT = dt.timedelta(minutes=15)
FORGOTTEN_AFTER = dt.timedelta(days=1)


class TooManyAttempts(DomainError):
    """Too many wrong passwords or codes; `extra` carries `retry_after_seconds`."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many attempts"


def wait_after(failures: int, *, free: int) -> dt.timedelta:
    """Return how long to wait after the last of `failures`: 1, 2, 4, … seconds once the free
    ones are used up, at most LONGEST_WAIT.
    """
    over = failures - free
    if over < 0:
        return dt.timedelta(0)
    return min(dt.timedelta(seconds=2 ** min(over, 20)), LONGEST_WAIT)


def refuse_until(until: dt.datetime, *, now: dt.datetime, what: str) -> TooManyAttempts:
    """Return the refusal to raise while `now` is before `until`."""
    seconds = max(1, math.ceil((until - now).total_seconds()))
    return TooManyAttempts(
        f"Too many wrong {what}. Wait {seconds} seconds, then try again.",
        extra={"retry_after_seconds": seconds},
    )


def begin_attempt(*, username: str, address: str, now: dt.datetime) -> None:
    """Count one attempt, before its password is looked at, so that a hundred at one instant
    are a hundred; `forgive` takes a right one back.

    Unknown names count like known ones. Raises TooManyAttempts. Must not run inside a
    transaction that a wrong password rolls back.
    """
    network = _network(address)
    origins = (
        (_account(username), network, FREE_PER_ACCOUNT),
        ("", network, FREE_PER_ADDRESS),
    )
    with transaction.atomic(durable=True):
        for account, origin, free in origins:
            row, _ = SignInAttempts.objects.select_for_update().get_or_create(
                account=account, address=origin, defaults={"last_at": now}
            )
            if now - row.last_at >= FORGOTTEN_AFTER:
                row.count = 0
            until = row.last_at + wait_after(row.count, free=free)
            if row.count and now < until:
                raise refuse_until(until, now=now, what="passwords")
            row.count += 1
            row.last_at = now
            row.save(update_fields=["count", "last_at"])
    _forget_old(now=now)


def forgive(*, username: str, address: str) -> None:
    """Forget the attempts of an account from an address, because its password was right."""
    network = _network(address)
    SignInAttempts.objects.filter(account=_account(username), address=network).delete()
    # One right password takes back one attempt of the address, not those on other accounts.
    with transaction.atomic():
        row = SignInAttempts.objects.select_for_update().filter(account="", address=network).first()
        if row is not None and row.count:
            row.count -= 1
            row.save(update_fields=["count"])


def _forget_old(*, now: dt.datetime) -> None:
    """Delete what counts for nothing any more, passing by rows that somebody holds."""
    old = SignInAttempts.objects.filter(last_at__lt=now - FORGOTTEN_AFTER)
    SignInAttempts.objects.filter(
        pk__in=old.select_for_update(skip_locked=True).values("pk")[:100]
    ).delete()


def _account(username: str) -> str:
    return salted_hmac("jit.identity.attempts", username.lower(), algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    """Return the address; of IPv6 the /64, since one machine has as many as it wants."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if parsed.version == 4 or parsed.is_loopback:  # noqa: PLR2004 -- that is what IPv4 is called
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))

"""How often somebody may try a password: counted before the password is looked at."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
from typing import ClassVar

from django.db import transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from jit.identity.models import SignInAttempts
from jit.kernel.errors import DomainError

FREE_PER_ACCOUNT = 5
"""Wrong passwords for one account from one address before waiting starts."""
FREE_PER_ADDRESS = 100
"""Wrong passwords from one address, whatever the account (an office may share one)."""
FREE_FROM_ANYWHERE = 20
"""Wrong passwords for one account from all addresses together, but for the person's browsers."""
LONGEST_WAIT = dt.timedelta(minutes=15)
LONGEST_WAIT_FROM_ANYWHERE = dt.timedelta(minutes=1)
"""Short, since strangers cause it: it slows guessing down, and locks nobody out."""
ANYWHERE = "anywhere"
FORGOTTEN_AFTER = dt.timedelta(days=1)


class TooManyAttempts(DomainError):
    """Too many wrong passwords or codes; `extra` carries `retry_after_seconds`."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many attempts"


def wait_after(failures: int, *, free: int, longest: dt.timedelta = LONGEST_WAIT) -> dt.timedelta:
    """Return how long to wait after the last of `failures`: 1, 2, 4, … seconds once the free
    ones are used up, at most `longest`.
    """
    over = failures - free
    if over < 0:
        return dt.timedelta(0)
    return min(dt.timedelta(seconds=2 ** min(over, 20)), longest)


def refuse_until(until: dt.datetime, *, now: dt.datetime, what: str) -> TooManyAttempts:
    """Return the refusal to raise while `now` is before `until`."""
    seconds = max(1, math.ceil((until - now).total_seconds()))
    return TooManyAttempts(
        f"Too many wrong {what}. Wait {seconds} seconds, then try again.",
        extra={"retry_after_seconds": seconds},
    )


def begin_attempt(*, username: str, address: str, now: dt.datetime, own_browser: str = "") -> None:
    """Count one attempt, before its password is looked at, so that a hundred at one instant
    are a hundred; `forgive` takes a right one back.

    Unknown names count like known ones. `own_browser` names a browser with which this person
    signed in before: it has a count of its own, and what others try elsewhere does not slow
    it. Raises TooManyAttempts. Must not run inside a transaction that a wrong password rolls
    back.
    """
    network = _network(address)
    origins = [
        (_account(username), network, FREE_PER_ACCOUNT, LONGEST_WAIT),
        ("", network, FREE_PER_ADDRESS, LONGEST_WAIT),
    ]
    group = own_browser or ANYWHERE
    origins.append((_account(username), group, FREE_FROM_ANYWHERE, LONGEST_WAIT_FROM_ANYWHERE))
    with transaction.atomic(durable=True):
        for account, origin, free, longest in origins:
            row, _ = SignInAttempts.objects.select_for_update().get_or_create(
                account=account, address=origin, defaults={"last_at": now}
            )
            if now - row.last_at >= FORGOTTEN_AFTER:
                row.count = 0
            until = row.last_at + wait_after(row.count, free=free, longest=longest)
            if row.count and now < until:
                raise refuse_until(until, now=now, what="passwords")
            row.count += 1
            row.last_at = now
            row.save(update_fields=["count", "last_at"])
    _forget_old(now=now)


def forgive(*, username: str, address: str, own_browser: str = "") -> None:
    """Forget the attempts of an account from an address, because its password was right."""
    network = _network(address)
    SignInAttempts.objects.filter(account=_account(username), address=network).delete()
    # One right password takes back one attempt of the address, not those on other accounts, and
    # one of the account, not those that others made from elsewhere.
    shared = (("", network), (_account(username), own_browser or ANYWHERE))
    with transaction.atomic():
        for account, origin in shared:
            SignInAttempts.objects.filter(account=account, address=origin, count__gt=0).update(
                count=F("count") - 1
            )


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

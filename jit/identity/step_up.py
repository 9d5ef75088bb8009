"""A dangerous act asks for a second factor of its own: one code opens one act, for a while.

In a browser the person types the code for the act, which the session then remembers. With a
bearer token there is no session: the code comes in the header `JIT-Second-Factor` of the very
request. A code works once (RFC 6238, section 5.2), so it can't open two acts.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from django.http import HttpRequest
from rest_framework.request import Request

from jit.identity import browser, operations
from jit.identity.authentication import actor_of, signed_in_user, token_of
from jit.identity.models import User
from jit.kernel.errors import DomainError

HEADER = "JIT-Second-Factor"
MAX_AGE = dt.timedelta(minutes=5)
_SESSION_KEY = "jit_step_up"
_REMEMBERED = 10


class StepUpRequired(DomainError):
    """The act needs a second factor of its own; `extra` names the `act` to give it for."""

    status: ClassVar[int] = 403
    title: ClassVar[str] = "A fresh second factor is needed"


def confirm(*, request: HttpRequest | Request, act: str, code: str, now: dt.datetime) -> None:
    """Check a code for `act` and remember it for that act alone.

    Raises as `operations.verify_second_factor` does. Must not run inside a transaction.
    """
    actor = actor_of(request)
    method = operations.verify_second_factor(
        user=signed_in_user(request), code=code, actor=actor, now=now, act=act
    )
    _set_second_factor_at(request, now)
    if token_of(request) is not None:
        return
    browser.remember_second_factor(request.session, at=now, method=method)
    passed = dict(request.session.get(_SESSION_KEY, {}))
    passed.pop(act, None)
    passed[act] = now.isoformat()
    request.session[_SESSION_KEY] = dict(list(passed.items())[-_REMEMBERED:])


def passed_for(
    request: HttpRequest | Request,
    *,
    act: str,
    now: dt.datetime,
    max_age: dt.timedelta = MAX_AGE,
) -> bool:
    """Return whether this browser session gave a second factor for `act` within `max_age`."""
    if token_of(request) is not None or not isinstance(request.user, User):
        return False
    at = request.session.get(_SESSION_KEY, {}).get(act)
    return at is not None and dt.timedelta(0) <= now - dt.datetime.fromisoformat(at) < max_age


def require_fresh(
    request: HttpRequest | Request,
    *,
    act: str,
    now: dt.datetime,
    max_age: dt.timedelta = MAX_AGE,
) -> None:
    """Raise StepUpRequired unless a second factor was given for `act` within `max_age`; with a
    bearer token, check the code in the request's header.

    `act` names the deed and what it is done to (`approve:0199…`). Must not run inside a
    transaction. Raises CodeWrong, CodeAlreadyUsed or TooManyAttempts for a header that fails.
    """
    if passed_for(request, act=act, now=now, max_age=max_age):
        return
    code = request.headers.get(HEADER, "")
    if code and token_of(request) is not None:
        confirm(request=request, act=act, code=code, now=now)
        return
    how = (
        f"Send the code of your authenticator in the header {HEADER}."
        if token_of(request) is not None
        else "Type the code of your authenticator for this act, then do it again."
    )
    raise StepUpRequired(how, extra={"act": act, "max_age_seconds": int(max_age.total_seconds())})


def _set_second_factor_at(request: HttpRequest | Request, now: dt.datetime) -> None:
    underlying: Any = getattr(request, "_request", request)
    underlying.second_factor_at = now

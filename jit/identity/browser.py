"""What a browser's session says of the person: who they are, and when a second factor passed.

A session holds a signed-in user only after the second factor (`sign_in` sees to that); this
module asks for both again, so that no other way of signing in gets round it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from jit.identity.models import User

SECOND_FACTOR = "jit_second_factor"
"""Session key: `{"at": RFC 3339, "method": "totp" | "recovery-code"}`."""


def remember_second_factor(session: SessionBase, *, at: dt.datetime, method: str) -> None:
    """Write down in the session that a second factor passed."""
    session[SECOND_FACTOR] = {"at": at.isoformat(), "method": method}


def second_factor_at(session: Mapping[str, Any] | SessionBase) -> dt.datetime | None:
    """Return when the session's last second factor passed, or None."""
    return parse(session.get(SECOND_FACTOR))


def parse(remembered: Any) -> dt.datetime | None:
    """Return the time in what a session holds under SECOND_FACTOR, or None."""
    if not isinstance(remembered, dict):
        return None
    try:
        return dt.datetime.fromisoformat(remembered["at"])
    except (KeyError, TypeError, ValueError):
        return None


def verified_user(session: SessionBase) -> User | None:
    """Return the session's user if they are active, the session was not ended, and its second
    factor passed; else None.
    """
    if second_factor_at(session) is None:
        return None
    request = HttpRequest()
    request.session = session
    return admit(get_user(request))


def admit(user: object) -> User | None:
    """Return `user` marked as verified if it is a real account, else None."""
    if not isinstance(user, User):
        return None
    user.second_factor_verified = True
    return user

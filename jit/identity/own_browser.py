"""A browser in which somebody signed in completely: it bears a signed cookie that says who.

It opens nothing. It only keeps a person from being slowed by what strangers try on their
account (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
"""

from __future__ import annotations

import datetime as dt
import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from jit.identity.models import User

COOKIE = "jit_own_browser"
_SALT = "jit.identity.own_browser"
_KEPT_FOR = dt.timedelta(days=180)


def remember(response: HttpResponse, user: User) -> None:
    """Let the browser of this response say henceforth that `user` signed in with it."""
    response.set_cookie(
        COOKIE,
        signing.dumps([user.username, secrets.token_hex(8)], salt=_SALT),
        max_age=_KEPT_FOR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
        path=settings.LOGIN_URL,
    )


def of(request: HttpRequest | None, username: str) -> str:
    """Return what this browser is called, if the person of that name signed in with it before;
    else an empty text.
    """
    cookie = request.COOKIES.get(COOKIE, "") if request is not None else ""
    try:
        owner, name = signing.loads(cookie, salt=_SALT, max_age=_KEPT_FOR)
    except (signing.BadSignature, TypeError, ValueError):
        return ""
    return str(name) if owner == username else ""

"""Whoever has not passed a second factor is nobody, on every page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth.middleware import auser, get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from jit.identity import browser
from jit.identity.models import User


class SecondFactor:
    """Sets `request.second_factor_at` (None without one) and lets `request.user` be a person
    only when the session's second factor passed; costs no statement without a session cookie.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_later(request)
        at = browser.second_factor_at(request.session) if _has_session(request) else None
        _mark(request, at)
        response: HttpResponseBase = self.get_response(request)
        return response

    async def _answer_later(self, request: HttpRequest) -> HttpResponseBase:
        at = None
        if _has_session(request):
            at = browser.parse(await request.session.aget(browser.SECOND_FACTOR))
        _mark(request, at)
        response: HttpResponseBase = await self.get_response(request)
        return response


def _has_session(request: HttpRequest) -> bool:
    return settings.SESSION_COOKIE_NAME in request.COOKIES


def _mark(request: HttpRequest, at: dt.datetime | None) -> None:
    marked: Any = request
    marked.second_factor_at = at
    marked.user = SimpleLazyObject(partial(_user_of, request, at))
    marked.auser = partial(_auser_of, request, at)


def _user_of(request: HttpRequest, at: dt.datetime | None) -> User | AnonymousUser:
    if at is None:
        return AnonymousUser()
    return browser.admit(get_user(request)) or AnonymousUser()


async def _auser_of(request: HttpRequest, at: dt.datetime | None) -> User | AnonymousUser:
    if at is None:
        return AnonymousUser()
    return browser.admit(await auser(request)) or AnonymousUser()

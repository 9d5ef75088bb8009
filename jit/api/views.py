"""The base of every resource: who calls, with which token, and what a call needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from jit.identity import authentication, permissions
from jit.identity.models import User
from jit.identity.permissions import Permission, Scope
from jit.kernel.actor import Actor
from jit.kernel.errors import InvalidInput, NotAllowed


class Resource(APIView):
    """A view that names the scope a token needs for each method and, where one is needed,
    the permission of the person.
    """

    scopes: ClassVar[Mapping[str, Scope]] = {}
    needs: ClassVar[Mapping[str, Permission]] = {}

    def check_permissions(self, request: Request) -> None:
        """Raise NotAllowed, naming the scope or permission that is missing."""
        super().check_permissions(request)
        method = request.method or ""
        scope = self.scopes.get(method, Scope.READ)
        held = person(request).token_scopes
        if held is not None and scope not in held:
            raise NotAllowed(
                f"This token lacks the scope `{scope}`: make one that has it on your account page."
            )
        permission = self.needs.get(method)
        if permission is not None and not permissions.has(request.user, permission):
            raise NotAllowed(f"This takes the permission {permission}, which you don't have.")


def person(request: Request) -> User:
    return cast("User", request.user)


def actor(request: Request) -> Actor:
    return authentication.actor_of(request)


def parse(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the checked body. Raises InvalidInput for anything but a JSON object, and DRF's
    ValidationError with every field that is wrong.
    """
    if not isinstance(request.data, Mapping):
        raise InvalidInput("Send a JSON object.")
    checked = serializer(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def moment(request: Request, name: str) -> dt.datetime | None:
    """Return the query parameter as an aware time. Raises InvalidInput."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise InvalidInput(
            f"`{name}` is a time with its zone (RFC 3339), such as 2030-01-31T09:00:00Z.",
            fields={name: ["Not a time with a zone."]},
        )
    return at


def text(request: Request, name: str) -> str:
    """Return the query parameter, refusing what no column could hold."""
    value = request.query_params.get(name, "")
    if "\0" in value or len(value) > 1000:  # noqa: PLR2004 -- longer than anything stored
        raise InvalidInput(f"`{name}` can't be looked for.", fields={name: ["Too long, or NUL."]})
    return value


def flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in {"1", "true", "yes"}

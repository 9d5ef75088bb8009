"""The base of every resource: who calls, with which token, and what a call needs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from jit.api import query
from jit.api.errors import NotAsDescribed
from jit.identity import authentication, permissions
from jit.identity.models import User
from jit.identity.permissions import Permission, Scope
from jit.kernel.actor import Actor
from jit.kernel.errors import NotAllowed


class Resource(APIView):
    """A view that names for each method the scope a token needs, the permission of the person
    where one is needed, and the parameters of the address. `asked` holds those of this call.
    """

    takes: ClassVar[Mapping[str, query.Query]] = {}
    asked: Mapping[str, Any]
    scopes: ClassVar[Mapping[str, Scope]] = {}
    needs: ClassVar[Mapping[str, Permission]] = {}
    steps_up: ClassVar[Collection[str]] = ()
    """The methods that read a second factor from the header JIT-Second-Factor."""
    with_body: ClassVar[Collection[str]] = ()
    """The methods beside POST, PUT and PATCH that read a body."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotAsDescribed for parameters of the address that are not declared."""
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else request.method or ""
        if method in self.scopes:
            self.asked = query.read(self.takes.get(method, query.NONE), request)

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
    """Return the checked body. Raises NotAsDescribed for anything but a JSON object and for fields
    that are not declared (a slip of the pen in `starts_at` would start at once), and DRF's
    ValidationError with every field that is wrong.
    """
    if not isinstance(request.data, Mapping):
        raise NotAsDescribed("Send a JSON object.")
    checked = serializer(data=request.data)
    unknown = [str(name)[:100] for name in request.data if name not in checked.fields]
    if unknown:
        known = ", ".join(checked.fields)
        raise NotAsDescribed(
            f"There is no field {unknown[0]!r} here: the fields are {known}.",
            fields={name: ["Not a field here."] for name in unknown[:20]},
        )
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)

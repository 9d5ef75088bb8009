"""Who the caller is, and what they may do."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import shapes
from jit.api.representations import time
from jit.api.views import Resource, person
from jit.identity.permissions import Scope
from jit.kernel import clock


class Me(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses=shapes.MeOut)
    def get(self, request: Request) -> Response:
        user = person(request)
        at = user.second_factor_at
        age = int((clock.now() - at).total_seconds()) if at else None
        return Response(
            {
                "id": str(user.pk),
                "username": user.username,
                "display_name": user.display_name,
                "timezone": user.timezone,
                "groups": sorted(user.group_slugs),
                "permissions": sorted(user.permissions),
                "scopes": None if user.token_scopes is None else sorted(user.token_scopes),
                "second_factor_at": time(at),
                "second_factor_age_seconds": age,
            }
        )

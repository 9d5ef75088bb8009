"""Pages that say who they think is asking; nothing else is under test."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jit.identity import authentication, sign_in, step_up
from jit.identity.permissions import Permission, Scope, has
from jit.kernel import clock


def _told(request: HttpRequest) -> dict[str, Any]:
    at = request.second_factor_at
    return {
        "user": getattr(request.user, "username", ""),
        "verified": getattr(request.user, "second_factor_verified", False),
        "at": at.isoformat() if at else None,
    }


def page(request: HttpRequest) -> JsonResponse:
    return JsonResponse(_told(request))


async def later(request: HttpRequest) -> JsonResponse:
    user = await request.auser()
    return JsonResponse({"user": getattr(user, "username", "")})


def leave(request: HttpRequest) -> JsonResponse:
    sign_in.sign_out(request=request, now=clock.now())
    return JsonResponse(_told(request))


class Api(APIView):
    throttle_classes = ()

    def get(self, request: Request) -> Response:
        actor = authentication.actor_of(request)
        may_audit = has(request.user, Permission.AUDIT_READ)
        told = {"channel": actor.channel, "actor": actor.name, "may_audit": may_audit}
        return Response({**_told(request), **told})

    def post(self, request: Request) -> Response:
        authentication.require_scope(request, Scope.DECIDE)
        return Response({})

    def put(self, request: Request) -> Response:
        act = request.GET["act"]
        step_up.require_fresh(request, act=act, now=clock.now())
        return Response({"act": act})


urlpatterns = [
    path("page/", page),
    path("later/", later),
    path("leave/", leave),
    path("api/", Api.as_view()),
]

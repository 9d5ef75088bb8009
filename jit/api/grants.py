"""Grants: list, look, take the credential, end; and the question of enforcement points."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, representations, shapes
from jit.api.views import Resource, actor, parse, person, text
from jit.elevation import queries
from jit.identity import queries as identity
from jit.identity.permissions import Scope
from jit.kernel.errors import InvalidInput
from jit.workflow import access, credential, revoke


class Grants(Resource):
    """The grants that the caller may see, ended ones too: history stays."""

    scopes = {"GET": Scope.READ}

    @extend_schema(
        operation_id="grants_list",
        parameters=[
            OpenApiParameter(name, str)
            for name in ("state", "role", "requester", "target", "cursor", "limit")
        ],
        responses=shapes.page_of(shapes.GrantOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filter_grants(
            queries.grants_visible_to(person(request)),
            state=text(request, "state"),
            role=text(request, "role"),
            requester=text(request, "requester"),
            target=text(request, "target"),
        )
        page = pagination.newest_first(
            rows,
            cursor=request.query_params.get("cursor"),
            limit=request.query_params.get("limit"),
        )
        items = [representations.grant(row) for row in page.items]
        return Response({"items": items, "next": page.next})


class GrantDetail(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses={200: shapes.GrantDetailOut, 404: shapes.ProblemOut})
    def get(self, request: Request, grant_id: UUID) -> Response:
        row = queries.grant_visible_to(person(request), grant_id)
        return Response(representations.grant_detail(row))


class Credential(Resource):
    """The credential, for the requester alone and only while the grant is ACTIVE. Each
    password is shown once: asking again sets a new one.
    """

    scopes = {"POST": Scope.REQUEST}

    @extend_schema(
        request=None,
        responses={200: shapes.CredentialOut, 403: shapes.ProblemOut, 409: shapes.ProblemOut},
    )
    def post(self, request: Request, grant_id: UUID) -> Response:
        queries.grant_visible_to(person(request), grant_id)
        shown = credential.show(grant_id=grant_id, user=person(request), actor=actor(request))
        return Response(shown, headers={"Cache-Control": "no-store"})


class Return(Resource):
    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=None, responses={200: shapes.GrantOut, 403: shapes.ProblemOut})
    def post(self, request: Request, grant_id: UUID) -> Response:
        queries.grant_visible_to(person(request), grant_id)
        row = revoke.give_back(grant_id=grant_id, user=person(request), actor=actor(request))
        return Response(representations.grant(row))


class Revoke(Resource):
    scopes = {"POST": Scope.DECIDE}

    @extend_schema(
        request=shapes.ReasonIn,
        responses={200: shapes.GrantOut, 403: shapes.ProblemOut, 409: shapes.ProblemOut},
    )
    def post(self, request: Request, grant_id: UUID) -> Response:
        queries.grant_visible_to(person(request), grant_id)
        row = revoke.take_back(
            grant_id=grant_id,
            user=person(request),
            comment=parse(shapes.ReasonIn, request)["reason"],
            actor=actor(request),
        )
        return Response(representations.grant(row))


class Authorize(Resource):
    """Whether a person is elevated to a role now, for enforcement points."""

    scopes = {"GET": Scope.READ}

    @extend_schema(
        parameters=[OpenApiParameter("user", str), OpenApiParameter("role", str)],
        responses=shapes.AuthorizeOut,
    )
    def get(self, request: Request) -> Response:
        username, role = text(request, "user"), text(request, "role")
        if not username or not role:
            raise InvalidInput("Name both `user` and `role`.")
        access.require_may_ask_about(person(request), username)
        user = identity.user_by_username(username)
        row = queries.active_grant(user=user, role_slug=role) if user else None
        live = row is not None and access.still_holds(row)
        return Response(
            {
                "active": live,
                "grant": str(row.pk) if row and live else None,
                "ends_at": representations.time(row.ends_at) if row and live else None,
            }
        )

"""Grants: list, look, take the credential, end; and the question of enforcement points."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query, representations, shapes
from jit.api.views import Resource, actor, parse, person
from jit.elevation import queries
from jit.elevation.states import GrantState
from jit.identity import queries as identity
from jit.identity.permissions import Scope
from jit.workflow import access, credential, revoke

_LIST = query.of(
    "GrantsQuery",
    paged=True,
    state=query.one_of(GrantState),
    role=query.text(),
    requester=query.text(),
    target=query.text(),
)


class Grants(Resource):
    """The grants that the caller may see, ended ones too: history stays."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="grants_list",
        responses=shapes.page_of(shapes.GrantOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filter_grants(
            queries.grants_visible_to(person(request)),
            state=self.asked["state"],
            role=self.asked["role"],
            requester=self.asked["requester"],
            target=self.asked["target"],
        )
        page = pagination.newest_first(rows, self.asked)
        items = [representations.grant(row) for row in page.items]
        return Response({"items": items, "next": page.next})


class GrantDetail(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses={200: shapes.GrantDetailOut})
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
        responses={200: shapes.CredentialOut},
    )
    def post(self, request: Request, grant_id: UUID) -> Response:
        queries.grant_visible_to(person(request), grant_id)
        shown = credential.show(grant_id=grant_id, user=person(request), actor=actor(request))
        return Response(shown, headers={"Cache-Control": "no-store"})


class Return(Resource):
    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=None, responses={200: shapes.GrantOut})
    def post(self, request: Request, grant_id: UUID) -> Response:
        queries.grant_visible_to(person(request), grant_id)
        row = revoke.give_back(grant_id=grant_id, user=person(request), actor=actor(request))
        return Response(representations.grant(row))


class Revoke(Resource):
    scopes = {"POST": Scope.DECIDE}

    @extend_schema(
        request=shapes.ReasonIn,
        responses={200: shapes.GrantOut},
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
    takes = {
        "GET": query.of(
            "AuthorizeQuery", user=query.text(required=True), role=query.text(required=True)
        )
    }

    @extend_schema(responses=shapes.AuthorizeOut)
    def get(self, request: Request) -> Response:
        username, role = self.asked["user"], self.asked["role"]
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

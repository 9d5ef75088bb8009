"""Delegations in version 1 of the REST interface: name a stand-in, list, revoke."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import delegation
from approvals import delegation_queries as queries
from approvals.models import Delegation
from jit.api import pagination, query, shapes
from jit.api.fields import Moment, PlainText
from jit.api.views import Resource, actor, parse, person
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.kernel.errors import NotAllowed


class DelegationIn(shapes.Shape):
    delegate = PlainText(max_length=150)
    starts_at = Moment(required=False, allow_null=True, default=None)
    ends_at = Moment()
    reason = PlainText(max_length=delegation.LONGEST_REASON)
    groups = serializers.ListField(
        child=PlainText(max_length=150), required=False, default=list, max_length=100
    )


class DelegationOut(shapes.Shape):
    id = serializers.UUIDField()
    delegator = serializers.CharField()
    delegate = serializers.CharField()
    groups = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    accepted_at = serializers.DateTimeField(
        allow_null=True, help_text="Until the delegate accepts it, it counts for nothing."
    )
    revoked_at = serializers.DateTimeField(allow_null=True)


def shown(row: Delegation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "delegator": row.delegator.username,
        "delegate": row.delegate.username,
        "groups": row.groups,
        "reason": row.reason,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "accepted_at": row.accepted_at,
        "revoked_at": row.revoked_at,
    }


_LIST = query.of("DelegationsQuery", paged=True, everybody=query.flag())


def _require_operator(user: User) -> None:
    if not permissions.has(user, Permission.OPERATIONS_READ):
        raise NotAllowed("Everybody's delegations are for those with operations:read.")


class Delegations(Resource):
    """The delegations that the caller made or has; for operators (`operations:read`) with
    `everybody=true` all that are in force, offered or to come.
    """

    scopes = {"GET": Scope.READ, "POST": Scope.DECIDE}
    takes = {"GET": _LIST}
    needs = {"POST": Permission.REQUEST_DECIDE}

    @extend_schema(
        operation_id="delegations_list",
        responses=shapes.page_of(DelegationOut),
    )
    def get(self, request: Request) -> Response:
        user, now = person(request), clock.now()
        if self.asked["everybody"]:
            _require_operator(user)
        rows = queries.current(now) if self.asked["everybody"] else queries.of(user)
        page = pagination.newest_first(rows, self.asked)
        return Response({"items": [shown(row) for row in page.items], "next": page.next})

    @extend_schema(request=DelegationIn, responses={201: DelegationOut})
    def post(self, request: Request) -> Response:
        checked, now = parse(DelegationIn, request), clock.now()
        row = delegation.delegate(
            delegator=person(request),
            delegate=identity.find_visible(person(request), checked["delegate"]),
            starts_at=checked["starts_at"] or now,
            ends_at=checked["ends_at"],
            reason=checked["reason"],
            groups=checked["groups"],
            actor=actor(request),
            now=now,
        )
        return Response(shown(row), status=status.HTTP_201_CREATED)


class OneDelegation(Resource):
    """End a delegation that the caller made or has, or decline one; what was decided by it
    stands.
    """

    scopes = {"DELETE": Scope.DECIDE}

    @extend_schema(responses={200: DelegationOut})
    def delete(self, request: Request, delegation_id: UUID) -> Response:
        user = person(request)
        row = delegation.revoke(
            delegation=queries.one_of(user, delegation_id),
            user=user,
            actor=actor(request),
            now=clock.now(),
        )
        return Response(shown(row))


class AcceptDelegation(Resource):
    """Agree to stand in, as who was asked to; only then the delegation counts."""

    scopes = {"POST": Scope.DECIDE}

    @extend_schema(
        request=None,
        responses={200: DelegationOut},
    )
    def post(self, request: Request, delegation_id: UUID) -> Response:
        user = person(request)
        row = delegation.accept(
            delegation=queries.offered_to(user, delegation_id),
            user=user,
            actor=actor(request),
            now=clock.now(),
        )
        return Response(shown(row))


urlpatterns = [
    path(
        "delegations/<uuid:delegation_id>/accept/",
        AcceptDelegation.as_view(),
        name="api-delegation-accept",
    ),
    path("delegations/", Delegations.as_view(), name="api-delegations"),
    path("delegations/<uuid:delegation_id>/", OneDelegation.as_view(), name="api-delegation"),
]

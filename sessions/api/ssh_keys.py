"""One's own SSH keys: what the gateway recognises one by."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query
from jit.api import shapes as core
from jit.api.views import Resource, actor, parse, person
from jit.elevation import queries as elevation
from jit.identity import step_up
from jit.identity.permissions import Scope
from jit.kernel import clock
from sessions import queries
from sessions.api import shapes
from sessions.operations import certificates, keys


class SshKeys(Resource):
    """The caller's keys. Adding one takes a fresh second factor, as the header
    JIT-Second-Factor with a bearer token.
    """

    scopes = {"GET": Scope.READ, "POST": Scope.REQUEST}
    steps_up = ("POST",)
    takes = {"GET": query.PAGED}

    @extend_schema(
        operation_id="ssh_keys_list",
        responses=core.page_of(shapes.SshKeyOut),
    )
    def get(self, request: Request) -> Response:
        page = pagination.newest_first(queries.keys_of(person(request)), self.asked)
        return Response({"items": [shapes.ssh_key(row) for row in page.items], "next": page.next})

    @extend_schema(
        request=shapes.SshKeyIn,
        responses={
            201: shapes.SshKeyOut,
        },
    )
    def post(self, request: Request) -> Response:
        checked, now = parse(shapes.SshKeyIn, request), clock.now()
        step_up.require_fresh(request, act=keys.ADDING, now=now)
        row = keys.add_key(
            user=person(request),
            name=checked["name"],
            public_key=checked["public_key"],
            actor=actor(request),
            now=now,
        )
        return Response(shapes.ssh_key(row), status=status.HTTP_201_CREATED)


class SshKeyDetail(Resource):
    """One of the caller's keys; once removed it opens nothing more."""

    scopes = {"DELETE": Scope.REQUEST}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        keys.remove_key(user=person(request), key_id=key_id, actor=actor(request), now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class GrantCertificate(Resource):
    """A certificate for a key of the caller's, which opens their grant at the SSH or PostgreSQL
    gateway as often as they like until it ends. Log in as `user`.
    """

    scopes = {"POST": Scope.REQUEST}

    @extend_schema(
        request=shapes.CertificateIn,
        responses={
            200: shapes.CertificateOut,
        },
    )
    def post(self, request: Request, grant_id: UUID) -> Response:
        grant = elevation.grant_visible_to(person(request), grant_id)
        certificate = certificates.certify(
            grant_id=grant_id,
            user=person(request),
            public_key=parse(shapes.CertificateIn, request)["public_key"],
            actor=actor(request),
        )
        return Response({"certificate": certificate, "user": grant.external_name})

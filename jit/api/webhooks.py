"""The endpoints of other programs, for who may manage them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import notification_shapes as shapes
from jit.api import pagination, query
from jit.api.notifications import delivery
from jit.api.representations import time
from jit.api.shapes import page_of as page_shape
from jit.api.views import Resource, actor, parse
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.notifications import operations, queries
from jit.notifications.models import WebhookEndpoint


def _endpoint(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "url": row.url,
        "kinds": row.kinds,
        "enabled": row.enabled,
        "created_at": time(row.created_at),
        "failing_since": time(row.failing_since),
        "disabled_at": time(row.disabled_at),
        "disabled_reason": row.disabled_reason,
    }


class Webhooks(Resource):
    scopes = {"GET": Scope.OPERATE, "POST": Scope.OPERATE}
    takes = {"GET": query.PAGED}
    needs = {"GET": Permission.WEBHOOK_MANAGE, "POST": Permission.WEBHOOK_MANAGE}

    @extend_schema(
        operation_id="webhooks_list",
        responses=page_shape(shapes.WebhookOut),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 -- DRF's signature
        page = pagination.newest_first(queries.endpoints(), self.asked)
        return Response({"items": [_endpoint(row) for row in page.items], "next": page.next})

    @extend_schema(
        request=shapes.WebhookIn,
        responses={201: shapes.WebhookMadeOut},
    )
    def post(self, request: Request) -> Response:
        checked = parse(shapes.WebhookIn, request)
        row, secret = operations.create_endpoint(**checked, actor=actor(request), now=clock.now())
        return Response({**_endpoint(row), "secret": secret}, status=status.HTTP_201_CREATED)


class WebhookDetail(Resource):
    scopes = {"GET": Scope.OPERATE, "PATCH": Scope.OPERATE, "DELETE": Scope.OPERATE}
    needs = {
        "GET": Permission.WEBHOOK_MANAGE,
        "PATCH": Permission.WEBHOOK_MANAGE,
        "DELETE": Permission.WEBHOOK_MANAGE,
    }

    @extend_schema(responses={200: shapes.WebhookOut})
    def get(self, request: Request, endpoint_id: UUID) -> Response:  # noqa: ARG002 -- DRF's signature
        return Response(_endpoint(queries.endpoint(endpoint_id)))

    @extend_schema(
        request=shapes.WebhookEdit,
        responses={200: shapes.WebhookOut},
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        row = operations.change_endpoint(
            endpoint=queries.endpoint(endpoint_id),
            changes=parse(shapes.WebhookEdit, request),
            actor=actor(request),
            now=clock.now(),
        )
        return Response(_endpoint(row))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        operations.remove_endpoint(
            endpoint=queries.endpoint(endpoint_id), actor=actor(request), now=clock.now()
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookSecret(Resource):
    """Change the secret; for a day the old one signs too."""

    scopes = {"POST": Scope.OPERATE}
    needs = {"POST": Permission.WEBHOOK_MANAGE}

    @extend_schema(request=None, responses={200: shapes.WebhookSecretOut})
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        secret = operations.rotate_secret(
            endpoint=queries.endpoint(endpoint_id), actor=actor(request), now=clock.now()
        )
        return Response({"secret": secret})


class WebhookTest(Resource):
    """Send a test message; its fate is among the endpoint's deliveries."""

    scopes = {"POST": Scope.OPERATE}
    needs = {"POST": Permission.WEBHOOK_MANAGE}

    @extend_schema(request=None, responses={202: shapes.DeliveryOut})
    def post(self, request: Request, endpoint_id: UUID) -> Response:  # noqa: ARG002 -- DRF's signature
        row = operations.send_test(endpoint=queries.endpoint(endpoint_id), now=clock.now())
        return Response(delivery(row), status=status.HTTP_202_ACCEPTED)


class WebhookDeliveries(Resource):
    scopes = {"GET": Scope.OPERATE}
    takes = {"GET": query.PAGED}
    needs = {"GET": Permission.WEBHOOK_MANAGE}

    @extend_schema(
        operation_id="webhooks_deliveries_list",
        responses={200: page_shape(shapes.DeliveryOut)},
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:  # noqa: ARG002 -- DRF's signature
        page = pagination.newest_first(
            queries.deliveries_to(queries.endpoint(endpoint_id)).select_related("endpoint"),
            self.asked,
        )
        return Response({"items": [delivery(row) for row in page.items], "next": page.next})

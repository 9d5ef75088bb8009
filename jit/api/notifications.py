"""One's notifications and what one wants to hear; what became of those about a request."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import notification_shapes as shapes
from jit.api import pagination, query
from jit.api.representations import time
from jit.api.shapes import page_of as page_shape
from jit.api.views import Resource, parse, person
from jit.elevation import queries as elevation
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.notifications import operations, queries
from jit.notifications.models import Notification, Outcome


class Notifications(Resource):
    """One's own notifications, newest first."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.of("InboxQuery", paged=True, unread=query.flag())}

    @extend_schema(
        operation_id="notifications_list",
        responses=shapes.InboxOut,
    )
    def get(self, request: Request) -> Response:
        user = person(request)
        rows = queries.inbox_of(user, unread=bool(self.asked["unread"]))
        page = pagination.newest_first(rows, self.asked)
        items = []
        for row in page.items:
            words = queries.words_of(row, user)
            items.append(
                {
                    "id": str(row.pk),
                    "kind": row.kind,
                    "title": words.title,
                    "link": words.link,
                    "payload": row.payload,
                    "created_at": time(row.created_at),
                    "read_at": time(row.read_at),
                }
            )
        return Response({"items": items, "next": page.next, "unread": queries.unread_count(user)})


class Read(Resource):
    """Mark one's notifications as read."""

    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=shapes.ReadIn, responses=shapes.ReadOut)
    def post(self, request: Request) -> Response:
        user = person(request)
        ids = parse(shapes.ReadIn, request).get("ids")
        marked = operations.mark_read(user=user, ids=ids, now=clock.now())
        return Response({"marked": marked, "unread": queries.unread_count(user)})


class Preferences(Resource):
    """What one hears of, and where."""

    scopes = {"GET": Scope.READ, "PUT": Scope.REQUEST}

    @extend_schema(responses=shapes.PreferencesOut)
    def get(self, request: Request) -> Response:
        return self._answer(request)

    @extend_schema(request=shapes.PreferencesIn, responses={200: shapes.PreferencesOut})
    def put(self, request: Request) -> Response:
        wanted = parse(shapes.PreferencesIn, request)["preferences"]
        operations.set_preferences(user=person(request), wanted=wanted)
        return self._answer(request)

    def _answer(self, request: Request) -> Response:
        choices = queries.preferences_of(person(request))
        return Response({"preferences": {choice.kind.value: choice.wanted for choice in choices}})


class Deliveries(Resource):
    """Who was told of a request, through which channel, and whether it arrived."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.PAGED}

    @extend_schema(
        operation_id="requests_deliveries_list",
        responses={200: page_shape(shapes.DeliveryOut)},
    )
    def get(self, request: Request, request_id: UUID) -> Response:
        elevation.request_visible_to(person(request), request_id)
        page = pagination.newest_first(queries.deliveries_of_request(request_id), self.asked)
        return Response({"items": [delivery(row) for row in page.items], "next": page.next})


def delivery(row: Notification) -> dict[str, Any]:
    waiting = row.outcome == Outcome.WAITING and not row.arrived
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "channel": row.channel,
        "to": row.goes_to,
        "outcome": row.outcome,
        "arrived": row.arrived,
        "reason": row.reason,
        "tries": row.tries,
        "created_at": time(row.created_at),
        "settled_at": time(row.settled_at),
        "next_try_at": time(row.next_try_at) if waiting else None,
    }

"""Look any ticket up; and the built-in tracker: list, open, edit, close."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query, shapes
from jit.api.representations import time
from jit.api.views import Resource, actor, parse, person
from jit.identity.permissions import Scope
from jit.kernel import clock
from jit.kernel.errors import UnknownCursor
from jit.tickets import operations, queries
from jit.tickets.models import LocalTicket, Status


def _ticket(row: LocalTicket) -> dict[str, Any]:
    return {
        "key": row.key,
        "title": row.title,
        "description": row.description,
        "status": row.status,
        "severity": row.severity,
        "assignee": row.assignee,
        "service": row.service,
        "type": row.type,
        "opened_by": row.opened_by,
        "changed_by": row.changed_by,
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        "closed_at": time(row.closed_at),
    }


class TicketLookUp(Resource):
    """The ticket behind a key, `system:key` or pasted link, asked of its system now."""

    scopes = {"GET": Scope.REQUEST}
    takes = {
        "GET": query.of(
            "TicketQuery", ref=query.text(required=True, max_length=queries.LONGEST_REFERENCE)
        )
    }

    @extend_schema(responses=shapes.TicketOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002 -- DRF's signature
        return Response(queries.look_up(self.asked["ref"]).as_json())


_LIST = query.of("TicketsQuery", paged=True, status=query.one_of(Status.values), q=query.text())


class Tickets(Resource):
    """The built-in tracker's tickets, newest first; anybody signed in may open one."""

    scopes = {"GET": Scope.READ, "POST": Scope.REQUEST}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="tickets_list",
        responses=shapes.page_of(shapes.LocalTicketOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filter_tickets(
            queries.tickets_visible_to(person(request)),
            status=self.asked["status"],
            q=self.asked["q"],
        )
        size = self.asked["limit"]
        if self.asked["cursor"]:
            rows = rows.filter(pk__lt=_number(self.asked["cursor"]))
        found = list(rows.order_by("-pk")[: size + 1])
        more = len(found) > size
        return Response(
            {
                "items": [_ticket(row) for row in found[:size]],
                "next": pagination.encode(found[size - 1].pk) if more else None,
            }
        )

    @extend_schema(request=shapes.LocalTicketIn, responses={201: shapes.LocalTicketOut})
    def post(self, request: Request) -> Response:
        checked = parse(shapes.LocalTicketIn, request)
        row = operations.open_ticket(**checked, actor=actor(request), now=clock.now())
        return Response(_ticket(row), status=status.HTTP_201_CREATED)


def _number(cursor: str) -> int:
    parts = pagination.decode(cursor)
    if len(parts) != 1 or not parts[0].isdecimal() or len(parts[0]) > 18:  # noqa: PLR2004 -- bigint
        raise UnknownCursor
    return int(parts[0])


class TicketDetail(Resource):
    scopes = {"GET": Scope.READ, "PATCH": Scope.REQUEST}

    @extend_schema(responses={200: shapes.LocalTicketOut})
    def get(self, request: Request, key: str) -> Response:
        return Response(_ticket(queries.ticket_visible_to(person(request), key)))

    @extend_schema(
        request=shapes.LocalTicketEdit,
        responses={200: shapes.LocalTicketOut},
    )
    def patch(self, request: Request, key: str) -> Response:
        row = operations.edit_ticket(
            ticket=queries.ticket_visible_to(person(request), key),
            changes=parse(shapes.LocalTicketEdit, request),
            user=person(request),
            actor=actor(request),
            now=clock.now(),
        )
        return Response(_ticket(row))


class TicketClose(Resource):
    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=None, responses={200: shapes.LocalTicketOut})
    def post(self, request: Request, key: str) -> Response:
        row = operations.close_ticket(
            ticket=queries.ticket_visible_to(person(request), key),
            user=person(request),
            actor=actor(request),
            now=clock.now(),
        )
        return Response(_ticket(row))

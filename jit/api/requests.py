"""Requests: preview, ask, list, look, withdraw."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query, representations, shapes
from jit.api.errors import NotAsDescribed
from jit.api.views import Resource, actor, parse, person
from jit.elevation import queries
from jit.elevation.states import RequestState
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.workflow import lapse, preview, submit

LONGEST_KEY = 200
_LIST = query.of(
    "RequestsQuery",
    paged=True,
    state=query.one_of(RequestState),
    requester=query.text(),
    role=query.text(),
    ticket=query.text(),
    **{"from": query.moment(), "to": query.moment()},
)


def ask_of(checked: dict[str, Any]) -> submit.Ask:
    return submit.Ask(
        role=checked["role"],
        ticket=checked["ticket"],
        justification=checked["justification"],
        duration_seconds=checked["duration_seconds"],
        starts_at=checked.get("starts_at"),
        extends=checked.get("extends"),
    )


class Requests(Resource):
    """The requests that the caller may see, and the place to make one."""

    scopes = {"GET": Scope.READ, "POST": Scope.REQUEST}
    needs = {"POST": Permission.REQUEST_CREATE}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="requests_list",
        responses=shapes.page_of(shapes.RequestOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filter_requests(
            queries.requests_visible_to(person(request)),
            state=self.asked["state"],
            requester=self.asked["requester"],
            role=self.asked["role"],
            ticket=self.asked["ticket"],
            since=self.asked["from"],
            until=self.asked["to"],
        )
        page = pagination.newest_first(rows, self.asked)
        return Response({"items": representations.requests(page.items), "next": page.next})

    @extend_schema(
        request=shapes.AskIn,
        responses={
            201: shapes.RequestOut,
            200: OpenApiResponse(shapes.RequestOut, "It was made by this Idempotency-Key before."),
        },
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                {"type": "string", "maxLength": LONGEST_KEY},
                OpenApiParameter.HEADER,
            )
        ],
    )
    def post(self, request: Request) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > LONGEST_KEY or "\0" in key:
            raise NotAsDescribed(f"An Idempotency-Key has at most {LONGEST_KEY} characters.")
        row, new = submit.submit(
            requester=person(request),
            ask=ask_of(parse(shapes.AskIn, request)),
            actor=actor(request),
            now=clock.now(),
            idempotency_key=key,
        )
        code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
        return Response(representations.request(row), status=code)


class Preview(Resource):
    """What policy would say, sentence by sentence; changes nothing."""

    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=shapes.AskIn, responses=shapes.PreviewOut)
    def post(self, request: Request) -> Response:
        shown = preview.preview(
            requester=person(request),
            ask=ask_of(parse(shapes.AskIn, request)),
            channel=actor(request).channel,
            now=clock.now(),
        )
        return Response(shown)


class RequestDetail(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses={200: shapes.RequestOut})
    def get(self, request: Request, request_id: UUID) -> Response:
        row = queries.request_visible_to(person(request), request_id)
        return Response(representations.request(row))


class Withdraw(Resource):
    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=None, responses={200: shapes.RequestOut})
    def post(self, request: Request, request_id: UUID) -> Response:
        queries.request_visible_to(person(request), request_id)
        lapse.withdraw(request_id=request_id, user=person(request), actor=actor(request))
        row = queries.request_visible_to(person(request), request_id)
        return Response(representations.request(row))

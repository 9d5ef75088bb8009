"""The decisions of version 1 of the REST interface: the inbox, and one's word on a request."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import delegation_api, operations, queries
from approvals.states import Verdict
from jit.api import pagination, query, representations, shapes
from jit.api.fields import Choice, Id, PlainText, WholeSeconds
from jit.api.views import Resource, actor, parse, person
from jit.elevation import queries as elevation
from jit.identity import operations as identity
from jit.identity import step_up
from jit.identity.authentication import token_of
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock


class DecisionIn(shapes.Shape):
    decision = Choice(choices=[verdict.value for verdict in Verdict])
    comment = PlainText(max_length=4000, required=False, allow_blank=True, default="")
    duration_seconds = WholeSeconds(required=False, allow_null=True, default=None, min_value=1)
    step = Id(required=False, allow_null=True, default=None)
    otp = PlainText(max_length=40, required=False, allow_blank=True, default="")


class Inbox(Resource):
    """What waits for the caller's decision, oldest deadline first."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.PAGED}

    @extend_schema(
        operation_id="inbox_list",
        responses=shapes.page_of(shapes.RequestOut),
    )
    def get(self, request: Request) -> Response:
        page = pagination.soonest_first(
            queries.inbox(person(request)), self.asked, field="lapses_at"
        )
        return Response({"items": representations.requests(page.items), "next": page.next})


class Decisions(Resource):
    """One person's word on the open step. Repeating it answers 200 and changes nothing."""

    scopes = {"POST": Scope.DECIDE}
    needs = {"POST": Permission.REQUEST_DECIDE}
    steps_up = ("POST",)

    @extend_schema(
        request=DecisionIn,
        responses={
            201: shapes.RequestOut,
            200: shapes.RequestOut,
        },
    )
    def post(self, request: Request, request_id: UUID) -> Response:
        checked = parse(DecisionIn, request)
        user, now = person(request), clock.now()
        queries.row_for_deciding(user, request_id)
        outcome = operations.decide(
            request_id=request_id,
            approver=user,
            verdict=Verdict(checked["decision"]),
            comment=checked["comment"],
            duration_seconds=checked["duration_seconds"],
            second_factor=_second_factor(request, request_id, checked, now=now),
            actor=actor(request),
            now=now,
            step_id=checked["step"],
        )
        row = elevation.request_visible_to(user, request_id)
        code = status.HTTP_200_OK if outcome.repeated else status.HTTP_201_CREATED
        return Response(representations.request(row), status=code)


def _second_factor(
    request: Request, request_id: UUID, checked: dict[str, Any], *, now: dt.datetime
) -> bool:
    """Return whether a second factor was given for this very decision: as `otp` or in the
    header with it, or in this browser just before. Raises for a code that is wrong.
    """
    act = f"approve:{request_id}"
    if checked["otp"]:
        identity.verify_second_factor(
            user=person(request), code=checked["otp"], actor=actor(request), now=now, act=act
        )
        return True
    if token_of(request) is not None and request.headers.get(step_up.HEADER):
        step_up.require_fresh(request, act=act, now=now)
        return True
    return step_up.passed_for(request, act=act, now=now)


urlpatterns = [
    path("inbox/", Inbox.as_view(), name="api-inbox"),
    path("requests/<uuid:request_id>/decisions/", Decisions.as_view(), name="api-decisions"),
    *delegation_api.urlpatterns,
]

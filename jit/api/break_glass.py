"""Break-glass, and the reviews it owes."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query, representations, shapes
from jit.api.views import Resource, actor, parse, person
from jit.elevation import queries
from jit.elevation.states import ReviewState
from jit.identity import operations as identity
from jit.identity.permissions import Permission, Scope
from jit.kernel import clock
from jit.workflow import break_glass, submit

ACT = "break-glass"


class BreakGlass(Resource):
    """Privilege now, review afterwards; takes a second factor given just now (`otp`)."""

    scopes = {"POST": Scope.REQUEST}
    needs = {"POST": Permission.REQUEST_CREATE}

    @extend_schema(
        request=shapes.BreakGlassIn,
        responses={201: shapes.RequestOut},
    )
    def post(self, request: Request) -> Response:
        checked = parse(shapes.BreakGlassIn, request)
        user, now = person(request), clock.now()
        if checked["otp"]:
            identity.verify_second_factor(
                user=user, code=checked["otp"], actor=actor(request), now=now, act=ACT
            )
        row = break_glass.use(
            requester=user,
            ask=submit.Ask(
                role=checked["role"],
                ticket=checked["ticket"],
                justification=checked["justification"],
                duration_seconds=checked["duration_seconds"],
            ),
            promise_ticket=checked["promise_ticket"],
            second_factor_at=now if checked["otp"] else None,
            actor=actor(request),
            now=now,
        )
        row = queries.request_visible_to(user, row.pk)
        return Response(representations.request(row), status=status.HTTP_201_CREATED)


class FileTicket(Resource):
    """Attach the ticket that a break-glass promised."""

    scopes = {"POST": Scope.REQUEST}

    @extend_schema(request=shapes.TicketIn, responses=shapes.RequestOut)
    def post(self, request: Request, request_id: UUID) -> Response:
        queries.request_visible_to(person(request), request_id)
        break_glass.file_ticket(
            request_id=request_id,
            user=person(request),
            reference=parse(shapes.TicketIn, request)["ticket"],
            actor=actor(request),
            now=clock.now(),
        )
        row = queries.request_visible_to(person(request), request_id)
        return Response(representations.request(row))


class Reviews(Resource):
    """The after-reviews that the caller may see, newest first."""

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.of("ReviewsQuery", paged=True, state=query.one_of(ReviewState))}

    @extend_schema(
        operation_id="reviews_list",
        responses=shapes.page_of(shapes.ReviewOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.reviews_visible_to(person(request))
        state = self.asked["state"]
        page = pagination.newest_first(rows.filter(state=state) if state else rows, self.asked)
        items = [representations.review(row) for row in page.items]
        return Response({"items": items, "next": page.next})


class CloseReview(Resource):
    scopes = {"POST": Scope.DECIDE}

    @extend_schema(
        request=shapes.ReviewIn,
        responses={200: shapes.ReviewOut},
    )
    def post(self, request: Request, review_id: UUID) -> Response:
        checked = parse(shapes.ReviewIn, request)
        break_glass.review(
            review_id=review_id,
            reviewer=person(request),
            flag=checked["outcome"] == "flag",
            comment=checked["comment"],
            actor=actor(request),
            now=clock.now(),
        )
        row = queries.review_visible_to(person(request), review_id)
        return Response(representations.review(row))

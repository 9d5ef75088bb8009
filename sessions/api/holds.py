"""Legal holds on recordings: set one, lift it with another auditor."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import shapes as core
from jit.api.views import Resource, actor, parse, person
from jit.identity.permissions import Scope
from jit.kernel import db
from sessions import queries
from sessions.api import shapes
from sessions.recording import queries as recorded
from sessions.recording import retention


class Hold(Resource):
    """The legal hold on a session's recording, which is kept beyond its time until the hold is
    lifted. Both are for auditors, take a `reason` (lifting, too: send it as the body), and are on
    the record. Lifting takes two: the first DELETE asks for it (`release_asked_by`), that of
    another auditor lifts it. Answers all holds there were, the newest first.
    """

    scopes = {"POST": Scope.AUDIT, "DELETE": Scope.AUDIT}
    with_body = ("DELETE",)

    @extend_schema(request=core.ReasonIn, responses={201: shapes.HoldOut(many=True)})
    def post(self, request: Request, session_id: UUID) -> Response:
        return Response(_after(request, session_id, retention.hold), status=201)

    @extend_schema(request=core.ReasonIn, responses={200: shapes.HoldOut(many=True)})
    def delete(self, request: Request, session_id: UUID) -> Response:
        return Response(_after(request, session_id, retention.lift))


def _after(
    request: Request, session_id: UUID, act: Callable[..., object]
) -> list[dict[str, object]]:
    """Set or lift a hold; return all there were."""
    session = queries.session_visible_to(person(request), session_id)
    act(
        session_id=session.pk,
        why=parse(core.ReasonIn, request)["reason"],
        by=person(request),
        actor=actor(request),
        now=db.now(),
    )
    return [shapes.hold(each) for each in recorded.holds_for(person(request), session)]

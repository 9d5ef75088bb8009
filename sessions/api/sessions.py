"""Access sessions: list, look, end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, query
from jit.api import shapes as core
from jit.api.views import Resource, actor, parse, person
from jit.identity.permissions import Scope
from sessions import finding, queries, recordings
from sessions.api import shapes
from sessions.operations import cutting
from sessions.recording import queries as recorded
from sessions.states import SessionState

_EXACT = ("user", "role", "target", "ticket", "approver", "state", "kind")
_LIST = query.of(
    "SessionsQuery",
    paged=True,
    q=query.text(help_text="Words that were typed or shown."),
    state=query.one_of(SessionState),
    break_glass=query.flag(),
    flagged=query.flag(),
    **{name: query.text() for name in ("user", "role", "target", "ticket", "approver", "kind")},
    **{"from": query.moment(), "to": query.moment()},
)


class Sessions(Resource):
    """The access sessions that the caller may see, newest first: their own, and for auditors
    all of them. With `q`, those in whose text it is, each with its hits; looking for words in
    recordings is on the record.
    """

    scopes = {"GET": Scope.READ}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="sessions_list",
        responses=core.page_of(shapes.SessionOut),
    )
    def get(self, request: Request) -> Response:
        narrowing: dict[str, Any] = {
            **{name: self.asked[name] for name in _EXACT},
            "since": self.asked["from"],
            "until": self.asked["to"],
            "break_glass": self.asked["break_glass"],
            "flagged": self.asked["flagged"],
        }
        if q := self.asked["q"]:
            found = finding.find(
                user=person(request),
                q=q,
                narrowing=narrowing,
                most=self.asked["limit"],
                actor=actor(request),
            )
            return Response({"items": [shapes.found(one) for one in found], "next": None})
        rows = queries.filter_sessions(queries.sessions_visible_to(person(request)), **narrowing)
        page = pagination.newest_first(rows, self.asked, field="opened_at")
        return Response({"items": [shapes.session(row) for row in page.items], "next": page.next})


class SessionDetail(Resource):
    scopes = {"GET": Scope.READ}

    @extend_schema(responses={200: shapes.SessionDetailOut})
    def get(self, request: Request, session_id: UUID) -> Response:
        row = queries.session_visible_to(person(request), session_id)
        holds = recorded.holds_for(person(request), row)
        return Response(shapes.detail(row, recordings.of(row), queries.flags_of(row), holds))


class Terminate(Resource):
    """Ask for the end of a live session. Its gateway cuts it at once: look again to see it
    CLOSED.
    """

    scopes = {"POST": Scope.AUDIT}

    @extend_schema(
        request=core.ReasonIn,
        responses={
            202: shapes.SessionOut,
        },
    )
    def post(self, request: Request, session_id: UUID) -> Response:
        user = person(request)
        queries.session_visible_to(user, session_id)
        cutting.terminate(
            session_id=session_id,
            user=user,
            comment=parse(core.ReasonIn, request)["reason"],
            actor=actor(request),
        )
        row = queries.session_visible_to(user, session_id)
        return Response(shapes.session(row), status=202)

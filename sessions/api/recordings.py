"""Recordings and transcripts: to take away, and to look for words in."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import shapes as core
from jit.api.pagination import limit_of
from jit.api.views import Resource, actor, person, text
from jit.identity.permissions import Scope
from jit.kernel.errors import InvalidInput
from sessions import recordings
from sessions.api import shapes
from sessions.operations import viewing


class Recording(Resource):
    """The recording as asciicast v2 (or `format=v3`, `format=text`). That somebody took it is
    on the record.
    """

    scopes = {"GET": Scope.READ}

    @extend_schema(
        parameters=[OpenApiParameter("format", str, enum=recordings.FORMS)],
        responses={
            (200, "application/x-asciicast"): OpenApiTypes.BINARY,
            400: core.ProblemOut,
            404: core.ProblemOut,
        },
    )
    def get(self, request: Request, session_id: UUID) -> HttpResponseBase:
        session, recording = recordings.visible_to(person(request), session_id)
        return recordings.as_file(
            request._request,  # noqa: SLF001 -- DRF offers no other way down
            session,
            recording,
            form=text(request, "format") or "v2",
            actor=actor(request),
        )


class Transcript(Resource):
    """What was shown, line by line, with the millisecond of each; with `q`, the lines that
    hold these words. `cursor` is the number of the last line had.
    """

    scopes = {"GET": Scope.READ}

    @extend_schema(
        parameters=[OpenApiParameter(name, str) for name in ("q", "cursor", "limit")],
        responses={200: shapes.TranscriptOut, 404: core.ProblemOut},
    )
    def get(self, request: Request, session_id: UUID) -> Response:
        session, recording = recordings.visible_to(person(request), session_id)
        q, size = text(request, "q").strip(), limit_of(request.query_params.get("limit"))
        rows = recordings.lines_of(session, most=size + 1, q=q, after=_after(request))
        more = len(rows) > size
        viewing.viewed(
            session=session, how="transcript", actor=actor(request), **({"q": q} if q else {})
        )
        return Response(
            {
                "items": [
                    {"number": row.number, "at_ms": row.at_ms, "text": row.text}
                    for row in rows[:size]
                ],
                "next": str(rows[size - 1].number) if more else None,
                "complete": recording.text_done and not recording.text_truncated,
            }
        )


def _after(request: Request) -> int:
    cursor = request.query_params.get("cursor", "")
    if not cursor:
        return -1
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:  # noqa: PLR2004 -- an int4
        raise InvalidInput(
            "This cursor is not one of ours: leave it out to start from the first line.",
            fields={"cursor": ["Not a cursor."]},
        )
    return int(cursor)

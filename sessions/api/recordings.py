"""Recordings and transcripts: to take away, and to look for words in."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import query
from jit.api.views import Resource, actor, person
from jit.identity.permissions import Scope
from jit.kernel.errors import UnknownCursor
from sessions import recordings
from sessions.api import shapes
from sessions.operations import viewing


class Recording(Resource):
    """The recording as asciicast v2 (or `format=v3`, `format=text`). That somebody took it is
    on the record.
    """

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.of("RecordingQuery", format=query.one_of(recordings.FORMS, default="v2"))}

    @extend_schema(
        responses={
            (200, "application/x-asciicast"): OpenApiTypes.BINARY,
            (200, "text/plain"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, session_id: UUID) -> HttpResponseBase:
        session, recording = recordings.visible_to(person(request), session_id)
        return recordings.as_file(
            request._request,  # noqa: SLF001 -- DRF offers no other way down
            session,
            recording,
            form=self.asked["format"],
            actor=actor(request),
        )


class Transcript(Resource):
    """What was shown, line by line, with the millisecond of each; with `q`, the lines that
    hold these words. `cursor` is the number of the last line had.
    """

    scopes = {"GET": Scope.READ}
    takes = {"GET": query.of("TranscriptQuery", paged=True, q=query.text())}

    @extend_schema(
        responses={200: shapes.TranscriptOut},
    )
    def get(self, request: Request, session_id: UUID) -> Response:
        session, recording = recordings.visible_to(person(request), session_id)
        q, size = self.asked["q"].strip(), self.asked["limit"]
        rows = recordings.lines_of(session, most=size + 1, q=q, after=_after(self.asked["cursor"]))
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


def _after(cursor: str) -> int:
    if not cursor:
        return -1
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 9:  # noqa: PLR2004 -- an int4
        raise UnknownCursor
    return int(cursor)

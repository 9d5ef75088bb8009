"""The audit log over REST: search, proofs, the newest checkpoint, the evidence of a request."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import pagination, shapes
from jit.api.representations import time
from jit.api.views import Resource, moment, person, text
from jit.audit import queries
from jit.audit.models import AuditEvent
from jit.elevation import queries as elevation
from jit.identity.permissions import Scope
from jit.kernel.errors import InvalidInput
from jit.workflow import evidence

_FILTERS = [
    OpenApiParameter(name, str)
    for name in (
        "actor",
        "action",
        "subject",
        "request",
        "grant",
        "from",
        "to",
        "q",
        "cursor",
        "limit",
    )
]


def _event(row: AuditEvent) -> dict[str, object]:
    return {
        "seq": row.seq,
        "at": time(row.at),
        "actor": row.actor_name,
        "channel": row.channel,
        "action": row.action,
        "subject_type": row.subject_type,
        "subject_id": row.subject_id,
        "request": str(row.request_id) if row.request_id else None,
        "grant": str(row.grant_id) if row.grant_id else None,
        "body": row.content,
    }


def _uuid(request: Request, name: str) -> UUID | None:
    value = text(request, name)
    if not value:
        return None
    try:
        return UUID(value)
    except ValueError:
        raise InvalidInput(f"`{name}` is an id.", fields={name: ["Not an id."]}) from None


class Events(Resource):
    """The events that the caller may see, newest first."""

    scopes = {"GET": Scope.AUDIT}

    @extend_schema(
        operation_id="audit_events_list",
        parameters=_FILTERS,
        responses=shapes.page_of(shapes.EventOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filtered(
            queries.events_visible_to(person(request)),
            queries.Filters(
                actor=text(request, "actor"),
                action=text(request, "action"),
                subject_id=text(request, "subject"),
                request_id=_uuid(request, "request"),
                grant_id=_uuid(request, "grant"),
                start=moment(request, "from"),
                end=moment(request, "to"),
                q=text(request, "q"),
            ),
        )
        cursor = request.query_params.get("cursor")
        page = queries.page(
            rows,
            after=queries.Cursor.parse(cursor) if cursor else None,
            limit=pagination.limit_of(request.query_params.get("limit")),
        )
        items = [_event(row) for row in page.events]
        return Response({"items": items, "next": str(page.next) if page.next else None})


class EventProof(Resource):
    """That one event stands in the sealed log: inclusion proof (RFC 6962) and checkpoint."""

    scopes = {"GET": Scope.AUDIT}

    @extend_schema(responses=dict)
    def get(self, request: Request, seq: int) -> Response:
        event = queries.event_visible_to(person(request), seq=seq)
        return Response(evidence.proof_of(event))


class Checkpoint(Resource):
    """The newest signed checkpoint (C2SP), to keep outside."""

    scopes = {"GET": Scope.AUDIT}

    @extend_schema(responses=dict)
    def get(self, request: Request) -> Response:  # noqa: ARG002 -- DRF's signature
        return Response(evidence.newest_checkpoint())


class Evidence(Resource):
    """The evidence pack of one request, verifiable offline."""

    scopes = {"GET": Scope.AUDIT}

    @extend_schema(responses=dict)
    def get(self, request: Request, request_id: UUID) -> Response:
        row = elevation.request_visible_to(person(request), request_id)
        return Response(evidence.pack(row))

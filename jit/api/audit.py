"""The audit log over REST: search, proofs, the newest checkpoint, the evidence of a request."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from jit.api import query, shapes
from jit.api.representations import time
from jit.api.views import Resource, person
from jit.audit import queries
from jit.audit.actions import Action
from jit.audit.models import AuditEvent
from jit.elevation import queries as elevation
from jit.identity.permissions import Scope
from jit.workflow import evidence

_LIST = query.of(
    "EventsQuery",
    paged=True,
    actor=query.text(),
    action=query.one_of(Action),
    subject=query.text(),
    request=query.an_id(),
    grant=query.an_id(),
    q=query.text(),
    **{"from": query.moment(), "to": query.moment()},
)


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


class Events(Resource):
    """The events that the caller may see, newest first."""

    scopes = {"GET": Scope.AUDIT}
    takes = {"GET": _LIST}

    @extend_schema(
        operation_id="audit_events_list",
        responses=shapes.page_of(shapes.EventOut),
    )
    def get(self, request: Request) -> Response:
        rows = queries.filtered(
            queries.events_visible_to(person(request)),
            queries.Filters(
                actor=self.asked["actor"],
                action=self.asked["action"],
                subject_id=self.asked["subject"],
                request_id=self.asked["request"],
                grant_id=self.asked["grant"],
                start=self.asked["from"],
                end=self.asked["to"],
                q=self.asked["q"],
            ),
        )
        cursor = self.asked["cursor"]
        page = queries.page(
            rows,
            after=queries.Cursor.parse(cursor) if cursor else None,
            limit=self.asked["limit"],
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

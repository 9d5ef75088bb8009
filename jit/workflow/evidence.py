"""What an auditor takes away: the whole story of one request, and proofs that it was sealed."""

from __future__ import annotations

import base64
from typing import Any

from jit.audit import queries as audit
from jit.audit.evidence import evidence_of_request
from jit.audit.models import AuditEvent
from jit.elevation.models import ElevationRequest, Grant
from jit.kernel import clock
from jit.kernel.clock import rfc3339
from jit.workflow.ports import approvals


def proof_of(event: AuditEvent) -> dict[str, Any]:
    """Return one event as it was sealed with its inclusion proof (RFC 6962, 2.1.1) and the
    checkpoint that covers it. Raises NotSealedYet within a second of its writing.
    """
    proof = audit.proof(event.seq)
    return {
        "seq": event.seq,
        "index": proof.index,
        "event": bytes(event.body).decode(),
        "leaf": base64.b64encode(proof.leaf).decode(),
        "proof": [base64.b64encode(step).decode() for step in proof.path],
        "checkpoint": proof.checkpoint.note,
        "key": proof.checkpoint.vkey,
        "size": proof.checkpoint.size,
    }


def newest_checkpoint() -> dict[str, Any]:
    """Return the newest signed statement of the log, or an empty log's."""
    found = audit.latest_checkpoint()
    if found is None:
        return {"size": 0, "checkpoint": None, "key": None, "at": None}
    return {
        "size": found.size,
        "checkpoint": found.note,
        "key": found.vkey,
        "at": rfc3339(found.at),
    }


def pack(request: ElevationRequest) -> dict[str, Any]:
    """Return the evidence pack: ticket, request, ruling with trace, decisions, grant with the
    proof of its revocation, and all events with their proofs.
    """
    chain = approvals().describe(requests=[request]).get(request.pk)
    held = getattr(request, "grant", None)
    return {
        **evidence_of_request(request.pk, now=clock.now()),
        "ticket": request.ticket,
        "request": {
            "id": str(request.pk),
            "state": request.state,
            "requester": request.requester.username,
            "role": request.role.slug,
            "target": request.role.target.slug,
            "justification": request.justification,
            "duration_seconds": request.duration_seconds,
            "granted_seconds": request.granted_seconds,
            "break_glass": request.break_glass,
            "created_at": rfc3339(request.created_at),
            "closed_at": rfc3339(request.closed_at) if request.closed_at else None,
        },
        "ruling": request.ruling,
        "decisions": [
            {
                "step": step.position,
                "approver": decision.approver,
                "decision": decision.verdict,
                "channel": decision.channel,
                "comment": decision.comment,
                "decided_at": rfc3339(decision.decided_at),
            }
            for step in (chain.steps if chain else ())
            for decision in step.decisions
        ],
        "grant": _grant(held) if held else None,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    times = {
        name: rfc3339(at) if (at := getattr(grant, name)) else None
        for name in ("starts_at", "ends_at", "provisioned_at", "revocation_verified_at")
    }
    return {
        "id": str(grant.pk),
        "external_name": grant.external_name,
        "state": grant.state,
        "end_reason": grant.end_reason,
        **times,
        "evidence": grant.evidence,
        "attempts": [
            {"step": each.step, "at": rfc3339(each.at), "ok": each.ok, "error": each.error}
            for each in grant.attempts.all()
        ],
    }

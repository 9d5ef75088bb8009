"""Rows as the JSON of `jit.api.shapes`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from jit.elevation.models import AfterReview, ElevationRequest, Grant
from jit.kernel.clock import rfc3339
from jit.policy import weighed
from jit.workflow.ports import ChainView, approvals

_SHOWN_OF_RULING = (
    "outcome",
    "rule",
    "guardrails",
    "max_duration_seconds",
    "obligations",
    "chain",
)


def time(at: dt.datetime | None) -> str | None:
    return rfc3339(at) if at else None


def requests(rows: Iterable[ElevationRequest]) -> list[dict[str, Any]]:
    """Return requests with their chains and grants; two statements for all of them."""
    rows = list(rows)
    chains = approvals().describe(requests=rows)
    return [_request(row, chains.get(row.pk)) for row in rows]


def request(row: ElevationRequest) -> dict[str, Any]:
    return requests([row])[0]


def _request(row: ElevationRequest, chain: ChainView | None) -> dict[str, Any]:
    held = getattr(row, "grant", None)
    return {
        "id": str(row.pk),
        "state": row.state,
        "requester": row.requester.username,
        "role": row.role.slug,
        "target": row.role.target.slug,
        "ticket": row.ticket,
        "justification": row.justification,
        "duration_seconds": row.duration_seconds,
        "granted_seconds": row.granted_seconds,
        "starts_at": time(row.starts_at),
        "planned_end": time(row.planned_end),
        "break_glass": row.break_glass,
        "extends": str(row.extends_id) if row.extends_id else None,
        "created_at": time(row.created_at),
        "lapses_at": time(row.lapses_at),
        "closed_at": time(row.closed_at),
        "ruling": {
            **{name: row.ruling.get(name) for name in _SHOWN_OF_RULING},
            "trace": weighed.weighed(row.ruling),
        },
        "chain": _chain(chain) if chain else [],
        "grant": grant(held, of=row) if held else None,
    }


def _chain(chain: ChainView) -> list[dict[str, Any]]:
    return [
        {
            "id": str(step.id),
            "position": step.position,
            "state": step.state,
            "any_of": list(step.any_of),
            "quorum": step.quorum,
            "candidates": list(step.candidates),
            "stand_ins": [{"username": one, "for": other} for one, other in step.stand_ins],
            "escalate_at": time(step.escalate_at),
            "escalated_at": time(step.escalated_at),
            "escalated_to": list(step.escalated_to),
            "opened_at": time(step.opened_at),
            "lapses_at": time(step.lapses_at),
            "decisions": [
                {
                    "approver": decision.approver,
                    "on_behalf_of": decision.on_behalf_of,
                    "decision": decision.verdict,
                    "channel": decision.channel,
                    "comment": decision.comment,
                    "duration_seconds": decision.duration_seconds,
                    "decided_at": time(decision.decided_at),
                }
                for decision in step.decisions
            ],
        }
        for step in chain.steps
    ]


def grant(row: Grant, *, of: ElevationRequest | None = None) -> dict[str, Any]:
    """Return a grant; `of` is its request where that is at hand, to spare the look-ups."""
    role = of.role if of else row.role
    return {
        "id": str(row.pk),
        "request": str(row.request_id),
        "state": row.state,
        "role": role.slug,
        "target": role.target.slug,
        "requester": (of.requester if of else row.user).username,
        "duration_seconds": row.duration_seconds,
        "scheduled_for": time(row.scheduled_for),
        "starts_at": time(row.starts_at),
        "ends_at": time(row.ends_at),
        "revoke_at": time(row.revoke_at),
        "end_reason": row.end_reason,
        "end_comment": row.end_comment,
        "provisioned_at": time(row.provisioned_at),
        "revocation_verified_at": time(row.revocation_verified_at),
        "waiting_for": row.waiting_for,
        "last_error": row.last_error,
        "next_try_at": time(row.next_try_at),
        "lost_at": time(row.lost_at),
        "evidence": row.evidence,
    }


def grant_detail(row: Grant) -> dict[str, Any]:
    attempts = [
        {
            "step": attempt.step,
            "at": time(attempt.at),
            "milliseconds": attempt.milliseconds,
            "ok": attempt.ok,
            "error": attempt.error,
        }
        for attempt in row.attempts.all()
    ]
    return {**grant(row), "attempts": attempts}


def review(row: AfterReview) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "request": str(row.request_id),
        "state": row.state,
        "requester": row.request.requester.username,
        "role": row.request.role.slug,
        "due_at": time(row.due_at),
        "created_at": time(row.created_at),
        "escalated_at": time(row.escalated_at),
        "reviewer": row.reviewer.username if row.reviewer else None,
        "comment": row.comment,
        "closed_at": time(row.closed_at),
    }

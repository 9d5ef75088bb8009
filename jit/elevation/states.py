"""The moves of requests, grants and after-reviews, as data (see docs/states.md)."""

from __future__ import annotations

from enum import StrEnum

from jit.kernel.states import Machine


class RequestState(StrEnum):
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    WITHDRAWN = "WITHDRAWN"
    LAPSED = "LAPSED"


class GrantState(StrEnum):
    SCHEDULED = "SCHEDULED"
    ACTIVATING = "ACTIVATING"
    ACTIVE = "ACTIVE"
    REVOKING = "REVOKING"
    ENDED = "ENDED"
    WITHDRAWN = "WITHDRAWN"


class ReviewState(StrEnum):
    OPEN = "OPEN"
    CONFIRMED = "CONFIRMED"
    FLAGGED = "FLAGGED"


class EndReason(StrEnum):
    EXPIRED = "expired"
    RETURNED = "returned"
    REVOKED = "revoked"
    TICKET_CLOSED = "ticket-closed"
    REQUESTER_LEFT = "requester-left"
    POLICY = "policy"
    ACTIVATION_FAILED = "activation-failed"


LIVE = (GrantState.SCHEDULED, GrantState.ACTIVATING, GrantState.ACTIVE)
"""A grant in one of these stands in the way of asking again for the same role."""

REQUEST = Machine(
    name="request",
    initial=frozenset({RequestState.PENDING}),
    moves={
        (RequestState.PENDING, "approved"): RequestState.APPROVED,
        (RequestState.PENDING, "denied"): RequestState.DENIED,
        (RequestState.PENDING, "withdrawn"): RequestState.WITHDRAWN,
        (RequestState.PENDING, "lapsed"): RequestState.LAPSED,
    },
)
GRANT = Machine(
    name="grant",
    initial=frozenset({GrantState.SCHEDULED}),
    moves={
        (GrantState.SCHEDULED, "activating"): GrantState.ACTIVATING,
        (GrantState.SCHEDULED, "withdrawn"): GrantState.WITHDRAWN,
        (GrantState.ACTIVATING, "activated"): GrantState.ACTIVE,
        (GrantState.ACTIVATING, "revoking"): GrantState.REVOKING,
        (GrantState.ACTIVE, "extended"): GrantState.ACTIVE,
        (GrantState.ACTIVE, "revoking"): GrantState.REVOKING,
        (GrantState.REVOKING, "ended"): GrantState.ENDED,
    },
)
REVIEW = Machine(
    name="review",
    initial=frozenset({ReviewState.OPEN}),
    moves={
        (ReviewState.OPEN, "confirmed"): ReviewState.CONFIRMED,
        (ReviewState.OPEN, "flagged"): ReviewState.FLAGGED,
    },
)

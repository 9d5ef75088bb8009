"""How a state looks: its word, its shape and its tone. The word and the shape say it all."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Look:
    word: str
    icon: str
    tone: str
    turning: bool = False


LOOKS = MappingProxyType(
    {
        # Requests.
        "PENDING": Look("Pending", "hourglass", "warn"),
        "APPROVED": Look("Approved", "ring-check", "ok"),
        "DENIED": Look("Denied", "ring-cross", "bad"),
        "WITHDRAWN": Look("Withdrawn", "arrow-back", "calm"),
        "LAPSED": Look("Lapsed", "ring-dashed", "calm"),
        # Chains and steps.
        "WAITING": Look("Waiting", "ring-dashed", "calm"),
        "OPEN": Look("Open", "ring-half", "warn"),
        "SKIPPED": Look("Skipped", "ring-minus", "calm"),
        "CANCELLED": Look("Cancelled", "ring-minus", "calm"),
        # Grants.
        "SCHEDULED": Look("Scheduled", "clock", "calm"),
        "ACTIVATING": Look("Activating", "turn", "live", turning=True),
        "ACTIVE": Look("Active", "dot", "live"),
        "REVOKING": Look("Revoking", "turn", "warn", turning=True),
        "STUCK": Look("Stuck", "octagon", "bad"),
        "ENDED": Look("Ended", "square-check", "calm"),
        # Access sessions.
        "OPENING": Look("Opening", "turn", "live", turning=True),
        "LIVE": Look("Live", "dot", "live"),
        "CLOSED": Look("Closed", "square", "calm"),
        "SEALED": Look("Sealed", "square-check", "calm"),
        # After-reviews.
        "CONFIRMED": Look("Confirmed", "ring-check", "ok"),
        "FLAGGED": Look("Flagged", "flag", "bad"),
        "OVERDUE": Look("Overdue", "octagon", "bad"),
        # Targets.
        "HEALTHY": Look("Healthy", "ring-check", "ok"),
        "UNHEALTHY": Look("Not answering", "octagon", "bad"),
        "UNKNOWN": Look("Not looked at yet", "ring-dashed", "calm"),
        "DISABLED": Look("Disabled", "ring-minus", "calm"),
        # Tickets.
        "TICKET-OPEN": Look("Open", "ring-half", "ok"),
        "TICKET-CLOSED": Look("Closed", "square-check", "calm"),
    }
)
NO_LOOK = Look("Unknown", "question", "calm")

RISKS = MappingProxyType(
    {
        "low": Look("Low risk", "ring", "calm"),
        "medium": Look("Medium risk", "ring-half", "calm"),
        "high": Look("High risk", "warning", "warn"),
        "critical": Look("Critical risk", "octagon", "bad"),
    }
)

OUTCOMES = MappingProxyType(
    {
        "auto": Look("Nobody need approve", "ring-check", "ok"),
        "needs_approval": Look("Needs approval", "hourglass", "warn"),
        "not_eligible": Look("Not offered to you", "ring-cross", "bad"),
        "denied": Look("Forbidden by policy", "octagon", "bad"),
        "break_glass": Look("Break-glass allowed", "bolt", "warn"),
        "error": Look("Policy failed", "octagon", "bad"),
    }
)

END_REASONS = MappingProxyType(
    {
        "expired": "its time was over",
        "returned": "given back early",
        "revoked": "revoked",
        "ticket-closed": "the ticket was closed",
        "requester-left": "the requester left",
        "policy": "policy no longer allows it",
        "activation-failed": "it could not be activated",
    }
)

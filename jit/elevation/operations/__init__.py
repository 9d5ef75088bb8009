"""Writes of elevation, by what they write to; import this package and name the verb."""

from __future__ import annotations

from jit.elevation.operations.grants import (
    GrantNotActive,
    begin_activation,
    begin_revocation,
    create_grant,
    drop_extension,
    drop_lease,
    end_earlier,
    extend_grant,
    finish_activation,
    note_lost,
    note_waiting,
    retry_activation,
    take_lease,
    withdraw_grant,
)
from jit.elevation.operations.heartbeats import SWEEP, note_heartbeat
from jit.elevation.operations.orphans import (
    note_evidence,
    note_orphan,
    note_suspended,
    resolve_orphan,
)
from jit.elevation.operations.requests import (
    approve_request,
    ask_also,
    attach_ticket,
    close_request,
    create_request,
    set_lapse,
    shorten_request,
)
from jit.elevation.operations.reviews import (
    close_review,
    escalate_review,
    open_review,
)

__all__ = [
    "SWEEP",
    "GrantNotActive",
    "approve_request",
    "ask_also",
    "attach_ticket",
    "begin_activation",
    "begin_revocation",
    "close_request",
    "close_review",
    "create_grant",
    "create_request",
    "drop_extension",
    "drop_lease",
    "end_earlier",
    "escalate_review",
    "extend_grant",
    "finish_activation",
    "note_evidence",
    "note_heartbeat",
    "note_lost",
    "note_orphan",
    "note_suspended",
    "note_waiting",
    "open_review",
    "resolve_orphan",
    "retry_activation",
    "set_lapse",
    "shorten_request",
    "take_lease",
    "withdraw_grant",
]

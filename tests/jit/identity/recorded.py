"""What the audit log says since the test began; the log itself can't be emptied between tests."""

from __future__ import annotations

from typing import Any

from jit.audit.models import AuditEvent
from jit.kernel.ids import uuid7

_since = uuid7()


def begin() -> None:
    """Count events from now on; their ids sort by time."""
    global _since  # noqa: PLW0603 -- one test runs at a time
    _since = uuid7()


def events(action: str) -> list[Any]:
    return list(AuditEvent.objects.filter(action=action, id__gt=_since).order_by("seq"))

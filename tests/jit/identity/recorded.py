"""What the audit log says, for tests that look."""

from __future__ import annotations

from typing import Any

from jit.audit.models import AuditEvent


def events(action: str) -> list[Any]:
    return list(AuditEvent.objects.filter(action=action).order_by("seq"))

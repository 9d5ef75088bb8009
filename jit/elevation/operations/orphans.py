"""Writes to what was found on targets and is in no book."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from jit.audit import operations as audit
from jit.catalog.models import Target
from jit.elevation.models import Orphan
from jit.kernel.actor import Actor
from jit.kernel.clock import rfc3339


def note_orphan(
    *, target: Target, external_name: str, seen: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> Orphan:
    """Put privilege that the books don't know on record; found again, it stays one record."""
    orphan, new = Orphan.objects.get_or_create(
        target=target,
        external_name=external_name,
        resolved_at=None,
        defaults={"seen": dict(seen), "found_at": now},
    )
    if new:
        audit.record(
            action="orphan.found",
            actor=actor,
            now=now,
            subject=audit.Subject(type="orphan", id=external_name, label=str(orphan)),
            body={"target": target.slug, **seen},
        )
    return orphan


def note_suspended(
    *, orphan: Orphan, seen: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> None:
    """Note that nobody comes in by it any more, and how it was seen then; it stays open."""
    orphan.seen = {**orphan.seen, "suspended_at": rfc3339(now), **seen}
    orphan.save(update_fields=["seen"])
    audit.record(
        action="orphan.suspended",
        actor=actor,
        now=now,
        subject=audit.Subject(type="orphan", id=orphan.external_name, label=str(orphan)),
        body={"target": orphan.target.slug, **seen},
    )


def note_evidence(*, orphan: Orphan, evidence: Mapping[str, Any]) -> None:
    """Keep what an attempt at its removal saw and did that came to no end."""
    orphan.seen = {**orphan.seen, "evidence": dict(evidence)}
    orphan.save(update_fields=["seen"])


def resolve_orphan(
    *,
    orphan: Orphan,
    resolution: str,
    evidence: Mapping[str, Any] = MappingProxyType({}),
    actor: Actor,
    now: dt.datetime,
) -> None:
    """Close an orphan's record: `removed` by us and seen gone, as the `evidence` says, or
    `vanished` by itself.
    """
    if Orphan.objects.filter(pk=orphan.pk, resolved_at__isnull=True).update(
        resolved_at=now, resolution=resolution
    ):
        audit.record(
            action=f"orphan.{resolution}",
            actor=actor,
            now=now,
            subject=audit.Subject(type="orphan", id=orphan.external_name, label=str(orphan)),
            body={"target": orphan.target.slug, **({"evidence": evidence} if evidence else {})},
        )

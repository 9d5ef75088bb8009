"""Writes to grants: the intent, the start, the later end, the end."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jit.audit import operations as audit
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import (
    GRANT,
    EndReason,
    GrantState,
    RequestState,
)
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.errors import Conflict


class GrantNotActive(Conflict):
    """The grant is not (or no longer) ACTIVE."""


def create_grant(*, request: ElevationRequest, actor: Actor, now: dt.datetime) -> Grant:
    """Write the grant of an approved request. Its external name is part of the intent, so
    that whatever is found on the target can be told apart (promise 2).
    """
    if request.state != RequestState.APPROVED:
        raise Conflict("Only an approved request leads to a grant.")
    grant = Grant(
        request=request,
        user=request.requester,
        role=request.role,
        target=request.role.target,
        duration_seconds=request.granted_seconds,
        scheduled_for=max(request.starts_at or now, now),
        next_try_at=max(request.starts_at or now, now),
        created_at=now,
    )
    grant.external_name = f"jit_{grant.id.hex}"
    grant.save(force_insert=True)
    audit.created(
        row=grant,
        machine=GRANT,
        actor=actor,
        now=now,
        body={
            "external_name": grant.external_name,
            "duration_seconds": grant.duration_seconds,
            "scheduled_for": grant.scheduled_for.isoformat(),
        },
    )
    return grant


def withdraw_grant(
    *, grant: Grant, reason: EndReason, comment: str, actor: Actor, now: dt.datetime
) -> None:
    """End a grant that never touched its target."""
    audit.transition(
        row=grant,
        machine=GRANT,
        verb="withdrawn",
        actor=actor,
        now=now,
        changes={
            "end_reason": reason.value,
            "end_comment": comment[:1000],
            "next_try_at": None,
            "lease_until": None,
            "waiting_for": "",
        },
        body={"reason": reason.value, "comment": comment},
    )


def begin_activation(
    *,
    grant: Grant,
    duration_seconds: int,
    lease_until: dt.datetime,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """Commit the intent: the deadline that the target will hold, before it is touched. It is
    never later than the window's end, where one was planned.

    A grant already ACTIVATING (a retry) only gets the new deadline and lease.
    """
    ends_at = now + dt.timedelta(seconds=duration_seconds)
    changes: dict[str, Any] = {
        "duration_seconds": duration_seconds,
        "ends_at": min(ends_at, grant.request.planned_end or ends_at),
        "lease_until": lease_until,
        "tries": grant.tries + 1,
        "generation": grant.generation + 1,
        "waiting_for": "",
    }
    if grant.state == GrantState.SCHEDULED:
        audit.transition(
            row=grant,
            machine=GRANT,
            verb="activating",
            actor=actor,
            now=now,
            changes=changes,
            body={"ends_at": changes["ends_at"].isoformat(), "target": grant.target.slug},
        )
        return
    Grant.objects.filter(pk=grant.pk, state=GrantState.ACTIVATING).update(**changes)
    for name, value in changes.items():
        setattr(grant, name, value)


def finish_activation(
    *, grant: Grant, credential: bytes | None, actor: Actor, now: dt.datetime
) -> None:
    """The privilege works: the clock starts."""
    audit.transition(
        row=grant,
        machine=GRANT,
        verb="activated",
        actor=actor,
        now=now,
        changes={
            "starts_at": now,
            "provisioned_at": now,
            "credential": credential,
            "lease_until": None,
            "next_try_at": None,
            "tries": 0,
            "last_error": "",
        },
        body={"ends_at": grant.ends_at.isoformat() if grant.ends_at else None},
    )


def retry_activation(
    *, grant: Grant, error: str, next_try_at: dt.datetime, now: dt.datetime
) -> Grant:
    """Release the lease after a failed call and say when to try again; return the row as it
    is now, locked (it may have been sent to REVOKING meanwhile).
    """
    fresh = (
        Grant.objects.select_related("user", "role__target", "target", "request")
        .select_for_update(of=("self",))
        .get(pk=grant.pk)
    )
    fresh.lease_until = None
    fresh.last_error = error[:1000]
    if fresh.state == GrantState.ACTIVATING:
        fresh.next_try_at = next_try_at
    fresh.save(update_fields=["lease_until", "last_error", "next_try_at"])
    audit.record(
        action="grant.attempt-failed",
        actor=CLOCK,
        now=now,
        subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
        body={"step": "provision", "error": error[:1000], "tries": fresh.tries},
        request_id=fresh.request_id,
        grant_id=fresh.pk,
    )
    return fresh


def note_waiting(*, grant: Grant, waiting_for: str, next_try_at: dt.datetime) -> None:
    """Tell the requester what the activation waits for, and look again then."""
    Grant.objects.filter(pk=grant.pk).update(waiting_for=waiting_for[:300], next_try_at=next_try_at)


def begin_revocation(
    *,
    grant: Grant,
    reason: EndReason,
    comment: str = "",
    actor: Actor,
    now: dt.datetime,
    wait_for_lease: bool = True,
) -> None:
    """Move to REVOKING: from here there is no way back. A lease that an activation still
    holds is waited for, so that its late call can't re-create what is about to be removed.
    """
    changes: dict[str, Any] = {
        "end_reason": reason.value,
        "end_comment": comment[:1000],
        "revoking_since": now,
        "next_try_at": now,
        "tries": 0,
        "waiting_for": "",
        "credential": None,
    }
    if not wait_for_lease:
        changes["lease_until"] = None
    audit.transition(
        row=grant,
        machine=GRANT,
        verb="revoking",
        actor=actor,
        now=now,
        changes=changes,
        body={"reason": reason.value, "comment": comment},
    )


def extend_grant(
    *, grant: Grant, request: ElevationRequest, ends_at: dt.datetime, actor: Actor, now: dt.datetime
) -> None:
    """Move `ends_at` later, under the approved request that asked for it (promise 7)."""
    if request.state != RequestState.APPROVED or request.extends_id != grant.id:
        raise Conflict("Only an approved extension moves a grant's end.")
    audit.transition(
        row=grant,
        machine=GRANT,
        verb="extended",
        actor=actor,
        now=now,
        changes={"ends_at": ends_at},
        body={"ends_at": ends_at.isoformat(), "extension_request": str(request.id)},
    )
    ElevationRequest.objects.filter(pk=request.pk).update(extension_applied_at=now)


def drop_extension(*, request: ElevationRequest, why: str, now: dt.datetime) -> None:
    """Mark an approved extension as done with, without a later end; `why` says what came
    between.
    """
    ElevationRequest.objects.filter(pk=request.pk).update(extension_applied_at=now)
    audit.record(
        action="grant.extension-dropped",
        actor=CLOCK,
        now=now,
        subject=audit.Subject(type="request", id=str(request.pk), label=str(request)),
        body={"why": why},
        request_id=request.pk,
        grant_id=request.extends_id,
    )


def end_earlier(
    *,
    grant: Grant,
    revoke_at: dt.datetime,
    reason: EndReason,
    comment: str,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """Set an earlier end, known beforehand so that the requester can be told; a locked,
    ACTIVE grant only.
    """
    Grant.objects.filter(pk=grant.pk, state=GrantState.ACTIVE).update(
        revoke_at=revoke_at, end_reason=reason.value, end_comment=comment[:1000]
    )
    audit.record(
        action="grant.ends-early",
        actor=actor,
        now=now,
        subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
        body={"revoke_at": revoke_at.isoformat(), "reason": reason.value, "comment": comment},
        request_id=grant.request_id,
        grant_id=grant.pk,
    )


def take_lease(*, grant: Grant, until: dt.datetime) -> None:
    """Keep everybody else off a locked grant while the target is called for it: until then
    nobody renews, extends or revokes it. The caller drops the lease when it is done.
    """
    grant.lease_until = until
    grant.generation += 1
    grant.save(update_fields=["lease_until", "generation"])


def drop_lease(*, grant: Grant, error: str = "") -> None:
    """Let others at the grant again; `error` is why the call failed, if it did. A lease that
    ran out and is somebody else's by now is left alone.
    """
    told = {"last_error": error[:1000]} if error else {}
    Grant.objects.filter(pk=grant.pk, generation=grant.generation).update(lease_until=None, **told)


def note_lost(*, grant: Grant, actor: Actor, now: dt.datetime) -> None:
    """Record that the target lost an active grant; it is never silently made again."""
    Grant.objects.filter(pk=grant.pk).update(lost_at=now)
    audit.record(
        action="grant.lost",
        actor=actor,
        now=now,
        subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
        body={"external_name": grant.external_name, "target": grant.target.slug},
        request_id=grant.request_id,
        grant_id=grant.pk,
    )

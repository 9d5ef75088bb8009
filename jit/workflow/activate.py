"""Make an approved grant work: ask everything again, commit the intent, touch the target."""

from __future__ import annotations

import datetime as dt
import logging
import random
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from jit.audit import operations as audit
from jit.connectors.base import ConnectorError, Issued
from jit.elevation import operations as elevation
from jit.elevation import provisioning
from jit.elevation.models import Grant
from jit.elevation.states import GRANT, EndReason, GrantState
from jit.kernel import db, tasks
from jit.kernel.actor import CLOCK
from jit.policy.ruling import Ruling
from jit.workflow import ask_again, hints, late, tell
from jit.workflow.ask_again import NoLongerEligible, NotYet

log = logging.getLogger(__name__)

LEASE = dt.timedelta(seconds=settings.LEASE)
"""Longer than all calls of one provisioning may take, so that two workers never hold a grant."""
SLOWEST_RETRY = 30.0


def backoff(tries: int) -> dt.timedelta:
    """Return how long to wait after the `tries`-th failure: doubling from half a second up
    to 30 s, with up to half of it drawn at random so that retries don't come in step.
    """
    longest = min(0.5 * 2 ** min(tries, 10), SLOWEST_RETRY)
    return dt.timedelta(seconds=longest * (0.5 + random.random() / 2))  # noqa: S311 -- jitter


def due(now: dt.datetime, limit: int = 100) -> list[UUID]:
    """Return grants whose window has opened and that nobody works on."""
    return list(
        Grant.objects.filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now),
            state__in=[GrantState.SCHEDULED, GrantState.ACTIVATING],
            next_try_at__lte=now,
        )
        .order_by("next_try_at")
        .values_list("pk", flat=True)[:limit]
    )


def activate(*, grant_id: UUID) -> None:
    """Take one grant from SCHEDULED (or a half-done ACTIVATING) to ACTIVE; safe to repeat.

    Never raises for what the world may do: an unreachable target or ticket system is tried
    again with backoff until the window ends, a lost eligibility ends the grant.
    """
    now = db.now()
    fresh = _read(grant_id, now)
    if fresh is None:
        return
    try:
        granted_seconds = ask_again.before_activation(fresh, now)
    except NoLongerEligible as lost:
        _give_up(grant_id, lost)
        return
    except NotYet as missing:
        _wait(grant_id, waiting_for=str(missing), now=now)
        return
    grant = _claim(grant_id, granted_seconds=granted_seconds)
    if grant is None:
        return
    try:
        issued = provisioning.provision(grant=grant, now=db.now())
    except ConnectorError as failure:
        _failed(grant, failure=failure)
        return
    _finish(grant, issued=issued)


def _read(grant_id: UUID, now: dt.datetime) -> Grant | None:
    return (
        Grant.objects.select_related(
            "request", "user__manager", "role__target", "role__owner_group", "target"
        )
        .filter(
            Q(lease_until__isnull=True) | Q(lease_until__lte=now),
            pk=grant_id,
            state__in=[GrantState.SCHEDULED, GrantState.ACTIVATING],
            scheduled_for__lte=now,
        )
        .first()
    )


def _claim(grant_id: UUID, *, granted_seconds: int) -> Grant | None:
    """Commit ACTIVATING with deadline and lease, or return None when somebody else has it."""
    with transaction.atomic():
        grant = (
            Grant.objects.select_related("request", "user", "role__target", "target")
            .select_for_update(of=("self",), skip_locked=True)
            .filter(pk=grant_id, state__in=[GrantState.SCHEDULED, GrantState.ACTIVATING])
            .first()
        )
        now = db.now()
        if grant is None or (grant.lease_until is not None and grant.lease_until > now):
            return None
        elevation.begin_activation(
            grant=grant,
            duration_seconds=granted_seconds,
            lease_until=now + LEASE,
            actor=CLOCK,
            now=now,
        )
        hints.about_request(grant.request_id, people=[grant.user_id])
        return grant


def _finish(grant: Grant, *, issued: Issued) -> None:
    """Commit ACTIVE; if the grant was ended meanwhile, what it was given is taken back."""
    credential = provisioning.seal_credential(grant, issued) if issued.credential else None
    try:
        with transaction.atomic():
            now = db.now()
            elevation.finish_activation(grant=grant, credential=credential, actor=CLOCK, now=now)
            tell.active(grant=grant, now=now)
            hints.about_request(grant.request_id, people=[grant.user_id])
            if grant.ends_at is not None and grant.ends_at - now < tasks.HORIZON:
                tasks.enqueue_on_commit("jit.workflow.end_due", eta=grant.ends_at)
    except audit.MovedMeanwhile:
        late.undo(grant=grant)


def _failed(grant: Grant, *, failure: ConnectorError) -> None:
    """Put a failed call right: again later, or, when it is for good or the window is over,
    clean up like any grant.
    """
    now = db.now()
    over = now - grant.scheduled_for > dt.timedelta(seconds=settings.ACTIVATION_WINDOW)
    with transaction.atomic():
        grant = elevation.retry_activation(
            grant=grant, error=str(failure), next_try_at=now + backoff(grant.tries), now=now
        )
        if grant.state == GrantState.REVOKING:
            tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
        elif failure.permanent or over:
            elevation.begin_revocation(
                grant=grant,
                reason=EndReason.ACTIVATION_FAILED,
                comment=str(failure),
                actor=CLOCK,
                now=now,
            )
            tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
        hints.about_request(grant.request_id, people=[grant.user_id])


def _wait(grant_id: UUID, *, waiting_for: str, now: dt.datetime) -> None:
    with transaction.atomic():
        grant = Grant.objects.select_for_update().get(pk=grant_id)
        if now - grant.scheduled_for > dt.timedelta(seconds=settings.ACTIVATION_WINDOW):
            _end(
                grant,
                reason=EndReason.ACTIVATION_FAILED,
                comment=f"Still waiting for {waiting_for}.",
            )
            return
        elevation.note_waiting(
            grant=grant, waiting_for=waiting_for, next_try_at=now + dt.timedelta(seconds=3)
        )
        hints.about_request(grant.request_id, people=[grant.user_id])


def _give_up(grant_id: UUID, lost: NoLongerEligible) -> None:
    with transaction.atomic():
        grant = Grant.objects.select_for_update().get(pk=grant_id)
        if lost.ruling is not None:
            _record_refusal(grant, lost.ruling, comment=lost.comment)
        _end(grant, reason=lost.reason, comment=lost.comment)


def _record_refusal(grant: Grant, ruling: Ruling, *, comment: str) -> None:
    """Put on the record which policy says no now; the request keeps the one that said yes."""
    audit.record(
        action="policy.refused",
        actor=CLOCK,
        now=db.now(),
        subject=audit.subject_of(grant, GRANT),
        body={
            "code": "NoLongerEligible",
            "detail": comment,
            "rule": ruling.rule,
            "guardrails": list(ruling.guardrails),
            "bundle_digest": ruling.bundle_digest,
            "facts": ruling.facts,
        },
        request_id=grant.request_id,
        grant_id=grant.pk,
    )


def _end(grant: Grant, *, reason: EndReason, comment: str) -> None:
    """End a grant that must not start: by withdrawal where the target was never touched."""
    now = db.now()
    if grant.state == GrantState.SCHEDULED:
        elevation.withdraw_grant(grant=grant, reason=reason, comment=comment, actor=CLOCK, now=now)
        tell.ended(grants=[grant], now=now)
    elif grant.state == GrantState.ACTIVATING:
        elevation.begin_revocation(
            grant=grant, reason=reason, comment=comment, actor=CLOCK, now=now
        )
        tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
    hints.about_request(grant.request_id, people=[grant.user_id])

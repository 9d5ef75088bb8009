"""End privilege: at its end or before, in batches, tried for ever until it is seen gone."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from jit.audit import operations as audit
from jit.catalog import queries as catalog
from jit.catalog.models import Role
from jit.connectors import evidence
from jit.connectors.base import Ambiguous, ConnectorError, Revoked
from jit.elevation import operations as elevation
from jit.elevation import provisioning, queries
from jit.elevation.models import Grant
from jit.elevation.states import GRANT, EndReason, GrantState
from jit.identity.models import User
from jit.kernel import db, tasks
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.clock import rfc3339
from jit.kernel.errors import Conflict, InvalidInput, NotAllowed
from jit.notifications import operations as notifications
from jit.workflow import access, due, hints, tell
from jit.workflow.activate import LEASE, backoff
from jit.workflow.ports import sessions

log = logging.getLogger(__name__)

BATCH = 500
"""Grants in one claim: fewer and larger ones wait less for each other (ADR 7)."""
LONGEST_TURN = 1.0
"""Seconds that a claim waits for another's; one that hangs (on a lost connection) stops none."""
_NEEDED = (
    "state", "external_name", "generation", "ends_at", "end_reason", "duration_seconds",
    "evidence", "lease_until", "revoking_since", "rang_at", "tries",
    "role", "target", "user", "request",
    "user__username", "user__is_active", "request__ticket_system", "request__ticket_key",
)  # fmt: skip
"""All that is read of a grant on its way out; anything else would be fetched for each alone."""
STILL_OPEN = "an access session through a gateway may still be open"


class NotYours(NotAllowed):
    """Only the requester returns a grant."""


class GrantEnded(Conflict):
    """The grant has ended or is ending; there is nothing left to take back."""


def give_back(*, grant_id: UUID, user: User, actor: Actor) -> Grant:
    """End one's own grant early: "done". Ending it twice is no error."""
    return _end_early(
        grant_id=grant_id, user=user, reason=EndReason.RETURNED, comment="", actor=actor
    )


def take_back(*, grant_id: UUID, user: User, comment: str, actor: Actor) -> Grant:
    """End somebody's grant now; `comment` says why. Raises NotAllowed unless `user` owns the
    role, could have approved it, operates or holds it; InvalidInput and GrantEnded.
    """
    if not comment.strip():
        raise InvalidInput(
            "Say in a sentence why it ends now; it goes on the record.",
            fields={"reason": ["A reason is needed."]},
        )
    return _end_early(
        grant_id=grant_id, user=user, reason=EndReason.REVOKED, comment=comment, actor=actor
    )


def _end_early(
    *, grant_id: UUID, user: User, reason: EndReason, comment: str, actor: Actor
) -> Grant:
    with transaction.atomic():
        grant = queries.lock_grant(grant_id)
        if reason is EndReason.RETURNED and grant.user_id != user.pk:
            raise NotYours("Only the person who holds a grant returns it; revoke it instead.")
        if reason is EndReason.REVOKED:
            access.require_may_revoke(user, grant)
        if grant.state in {GrantState.REVOKING, GrantState.ENDED, GrantState.WITHDRAWN}:
            if reason is EndReason.RETURNED:
                return grant
            raise GrantEnded(f"This grant is {grant.state} already ({grant.end_reason}).")
        end(grant=grant, reason=reason, comment=comment, actor=actor)
    return grant


def end(*, grant: Grant, reason: EndReason, comment: str, actor: Actor) -> None:
    """Send a locked, live grant towards its end, whatever its state; within a transaction."""
    now = db.now()
    if grant.state == GrantState.SCHEDULED:
        elevation.withdraw_grant(grant=grant, reason=reason, comment=comment, actor=actor, now=now)
        tell.ended(grants=[grant], now=now)
    elif grant.state in {GrantState.ACTIVATING, GrantState.ACTIVE}:
        elevation.begin_revocation(
            grant=grant, reason=reason, comment=comment, actor=actor, now=now
        )
        tasks.enqueue_on_commit("jit.workflow.revoke", str(grant.pk))
    hints.about_request(grant.request_id, people=[grant.user_id])


def supersede_scheduled(*, requester: User, role: Role, why: str, actor: Actor) -> Grant | None:
    """End what this person was granted for this role and has not begun, for what is given in its
    place in the caller's transaction; return it, or None where there is nothing like that.
    """
    planned = queries.scheduled_grant(requester, role.pk)
    grant = queries.lock_grant(planned) if planned else None
    if grant is None or grant.state != GrantState.SCHEDULED:
        return None
    end(grant=grant, reason=EndReason.RETURNED, comment=why, actor=actor)
    return grant


def end_all(*, grants: Iterable[UUID], reason: EndReason, comment: str, actor: Actor) -> int:
    """End each of these grants that is still live; return how many were."""
    ended = 0
    for grant_id in grants:
        with transaction.atomic():
            grant = queries.lock_grant(grant_id)
            if grant.state in {GrantState.SCHEDULED, GrantState.ACTIVATING, GrantState.ACTIVE}:
                end(grant=grant, reason=reason, comment=comment, actor=actor)
                ended += 1
    return ended


# --- The sweep ------------------------------------------------------------------------


def revoke_due(*, only: Sequence[UUID] = ()) -> int:
    """Revoke everything that is due, batch after batch, until nothing is; return how many
    grants were seen gone. `only` limits it to these grants.
    """
    gone = 0
    while batch := _claim_in_turn(only):
        gone += _work(batch)
    if gone and not due.in_hand():  # else whoever has the last of them says so
        notifications.deliver_soon()
    return gone


_claiming = threading.Lock()


def _claim_in_turn(only: Sequence[UUID]) -> list[Grant]:
    """Claim while no other thread of this process does: together they would only slow each other
    (they share a core), and take from the other processes what those have cores for. A courtesy,
    and no more: whoever waited for LONGEST_TURN claims all the same.
    """
    taken = _claiming.acquire(timeout=LONGEST_TURN)
    try:
        return _claim(only)
    finally:
        if taken:
            _claiming.release()


def _claim(only: Sequence[UUID]) -> list[Grant]:
    """Commit REVOKING and a lease for up to BATCH due grants that nobody else holds, all of one
    target: whoever waits for a target that hangs has no other target's grants in hand.
    """
    with transaction.atomic():
        now = db.now()
        rows = (
            Grant.objects.select_related("user", "request")
            .only(*_NEEDED)
            .filter(due.at(now))
            .order_by("ends_at", "id")
        )
        if only:
            rows = rows.filter(pk__in=only)
        free = list(rows.select_for_update(of=("self",), skip_locked=True)[:BATCH])
        batch = [grant for grant in free if grant.target_id == free[0].target_id]
        _attach_roles(batch)
        fresh = [grant for grant in batch if grant.state != GrantState.REVOKING]
        reasons = {grant.pk: _reason(grant) for grant in fresh}
        lease_until = now + LEASE
        audit.transition_many(
            rows=fresh,
            machine=GRANT,
            verb="revoking",
            actor=CLOCK,
            now=now,
            changes={
                grant.pk: {
                    "end_reason": reasons[grant.pk].value,
                    "revoking_since": now,
                    "next_try_at": now,
                    "lease_until": lease_until,
                    "credential": None,
                    "tries": 0,
                }
                for grant in fresh
            },
            bodies={grant.pk: {"reason": reasons[grant.pk].value} for grant in fresh},
        )
        again = [grant for grant in batch if grant.lease_until != lease_until]
        if again:
            Grant.objects.filter(pk__in=[grant.pk for grant in again]).update(
                lease_until=lease_until
            )
            for grant in again:
                grant.lease_until = lease_until
        return batch


def _attach_roles(batch: Sequence[Grant]) -> None:
    """Give the grants their roles and targets, of which there are few, each loaded once."""
    roles = catalog.roles_by_id({grant.role_id for grant in batch})
    for grant in batch:
        grant.role = roles[grant.role_id]
        if grant.role.target_id == grant.target_id:
            grant.target = grant.role.target


def _reason(grant: Grant) -> EndReason:
    if grant.state == GrantState.ACTIVATING:
        return EndReason.ACTIVATION_FAILED
    return EndReason(grant.end_reason) if grant.end_reason else EndReason.EXPIRED


def _work(batch: Sequence[Grant]) -> int:
    """Cut sessions and revoke on the target, then write down what was seen."""
    now = db.now()
    still_open = _cut(batch, now)
    answers = provisioning.revoke(target=batch[0].target, grants=batch, now=now)
    return _finish(
        batch,
        [
            Ambiguous(STILL_OPEN, evidence=answer.evidence)
            if grant.pk in still_open and isinstance(answer, Revoked)
            else answer
            for grant, answer in zip(batch, answers, strict=True)
        ],
    )


def _cut(grants: Sequence[Grant], now: dt.datetime) -> set[UUID]:
    """End the grants' access sessions; return the grants that may still have one open."""
    try:
        return sessions().cut(grants=grants, now=now)
    except Exception:  # the target's own connections are cut all the same, and this is tried again
        log.exception("could not tell whether access sessions are closed")
        return {grant.pk for grant in grants}


def _finish(grants: Sequence[Grant], answers: Sequence[Revoked | ConnectorError]) -> int:
    """Commit ENDED with its evidence where the target was seen clean; the rest tries again. What
    an attempt saw and did is added to what the ones before did, whether it came to its end or not.
    """
    clean: dict[UUID, dict[str, Any]] = {}
    through_gateways = sessions().cut_of(grants=grants)
    failed: list[tuple[Grant, str, dict[str, Any]]] = []
    for grant, answer in zip(grants, answers, strict=True):
        known = evidence.merged(evidence.settled(grant.evidence), answer.evidence)
        if grant.pk in through_gateways:
            known["gateways"] = through_gateways[grant.pk]
        if isinstance(answer, Revoked) and answer.absent:
            clean[grant.pk] = known
        else:
            error = str(answer) if isinstance(answer, ConnectorError) else "still there"
            failed.append((grant, error, known))
    with transaction.atomic():
        now = db.now()
        moved = audit.transition_many(
            rows=[grant for grant in grants if grant.pk in clean],
            machine=GRANT,
            verb="ended",
            actor=CLOCK,
            now=now,
            changes={
                pk: {
                    "revocation_verified_at": now,
                    "evidence": known,
                    "lease_until": None,
                    "next_try_at": None,
                    "last_error": "",
                    "credential": None,
                }
                for pk, known in clean.items()
            },
            bodies={pk: {"evidence": known} for pk, known in clean.items()},
        )
        tell.ended(grants=moved, now=now, at_once=False)
        for grant, error, known in failed:
            _again(grant, error=error, known=known, now=now)
        hints.about_requests((grant.request_id, [grant.user_id]) for grant in grants)
    return len(moved)


def _again(grant: Grant, *, error: str, known: dict[str, Any], now: dt.datetime) -> None:
    """Keep the grant in REVOKING with what is `known` of it by now, and try again, for ever; ring
    once it takes too long. The log has the first failure, and each that found something new.
    """
    next_try_at = now + backoff(grant.tries)
    since = grant.revoking_since or now
    rings = grant.rang_at is None and now - since >= dt.timedelta(seconds=settings.STUCK_AFTER)
    Grant.objects.filter(pk=grant.pk, state=GrantState.REVOKING).update(
        tries=grant.tries + 1,
        lease_until=None,
        next_try_at=next_try_at,
        last_error=error[:1000],
        evidence=known,
        **({"rang_at": now} if rings else {}),
    )
    log.warning("revocation of %s failed (try %d): %s", grant, grant.tries + 1, error)
    learnt = evidence.findings(known) != evidence.findings(evidence.settled(grant.evidence))
    if rings or learnt or grant.tries == 0:
        audit.record(
            action="grant.revocation-stuck" if rings else "grant.attempt-failed",
            actor=CLOCK,
            now=now,
            subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
            body={
                "step": "revoke",
                "error": error[:1000],
                "since": rfc3339(since),
                "evidence": known,
            },
            request_id=grant.request_id,
            grant_id=grant.pk,
        )
    if rings:
        tell.stuck(grant=grant, since=since, now=now)
        log.error(
            "revocation stuck for over %d s: %s on %s: %s",
            settings.STUCK_AFTER,
            grant,
            grant.target.slug,
            error,
        )

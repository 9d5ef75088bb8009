"""Compare each target with the books: orphans are removed or reported, losses reported."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction

from jit.catalog.models import Target
from jit.connectors import evidence
from jit.connectors.base import ConnectorError, Revoked, Seen
from jit.elevation import operations as elevation
from jit.elevation import provisioning
from jit.elevation.models import Grant, Orphan
from jit.elevation.states import GrantState
from jit.kernel import db
from jit.kernel.actor import CLOCK, Actor
from jit.kernel.errors import Conflict, NotFound
from jit.workflow import tell

log = logging.getLogger(__name__)

SETTLING = dt.timedelta(seconds=5)
"""A grant activated this recently may have been made after the target was looked at."""
_ON_TARGET = [GrantState.ACTIVATING, GrantState.ACTIVE, GrantState.REVOKING]


class OrphanGone(NotFound):
    """The orphan was resolved already."""


class OrphanRemains(Conflict):
    """The target kept the privilege; the detail has its error."""


def reconcile_all() -> int:
    """Reconcile every enabled target; return how many differences were found."""
    found = 0
    for target in Target.objects.filter(enabled=True):
        try:
            found += reconcile(target=target)
        except ConnectorError as failure:
            log.warning("could not look at %s: %s", target.slug, failure)
    return found


def reconcile(*, target: Target) -> int:
    """Compare one target with the books; raises ConnectorError when it can't be seen.

    A name that belongs to one of our own ended grants is removed on sight: nobody may have
    it. A name that was never ours is reported, for a person to decide; where it bears our mark (our
    database forgot the grant, as after the restore of an older dump), nobody comes in by it until
    then. The target is looked at first: a grant is committed before it is provisioned, so what
    is being given at this moment is known by the time that it is compared.
    """
    before = db.now()
    seen = {each.external_name: each for each in provisioning.observe(target)}
    grants = Grant.objects.filter(target=target)
    known = set(grants.filter(state__in=_ON_TARGET).values_list("external_name", flat=True))
    orphans = [each for name, each in seen.items() if name not in known]
    for each in orphans:
        _orphan(target, each)
    for orphan in Orphan.objects.filter(target=target, resolved_at__isnull=True):
        if orphan.external_name not in seen:
            with transaction.atomic():
                now = db.now()
                elevation.resolve_orphan(orphan=orphan, resolution="vanished", actor=CLOCK, now=now)
                tell.orphan_resolved(orphan=orphan, now=now)
    lost = grants.filter(
        state=GrantState.ACTIVE,
        lost_at__isnull=True,
        provisioned_at__lt=before - SETTLING,
        lease_until__isnull=True,
        ends_at__gt=before + SETTLING,
    ).exclude(external_name__in=list(seen))
    count = 0
    for grant in lost.select_related("target", "role__target", "user", "request"):
        with transaction.atomic():
            elevation.note_lost(grant=grant, actor=CLOCK, now=db.now())
        count += 1
    return count + len(orphans)


def _orphan(target: Target, seen: Seen) -> None:
    with transaction.atomic():
        orphan = elevation.note_orphan(
            target=target,
            external_name=seen.external_name,
            seen={
                "deadline": seen.deadline.isoformat() if seen.deadline else None,
                "live_connections": seen.live_connections,
            },
            actor=CLOCK,
            now=db.now(),
        )
    grants = Grant.objects.filter(external_name=seen.external_name)
    if not grants.exists() and seen.usable and seen.detail.get("grant"):
        _suspend(orphan, seen)
    if grants.exclude(state__in=_ON_TARGET).exists():
        try:
            _remove(orphan, seen, actor=CLOCK)
        except OrphanRemains as remains:
            log.error("%s", remains.detail)  # noqa: TRY400 -- no traceback: the target's own words


def _suspend(orphan: Orphan, seen: Seen) -> None:
    """Let nobody in by what our database forgot, in a way that can be undone, and ring."""
    try:
        found = provisioning.suspend(orphan.target, seen)
    except ConnectorError as failure:
        log.critical("could not suspend %s: %s", seen.external_name, failure)
        with transaction.atomic():
            tell.orphan(orphan=orphan, connections_cut=0, error=str(failure), now=db.now())
        return
    with transaction.atomic():
        now = db.now()
        elevation.note_suspended(orphan=orphan, seen=found, actor=CLOCK, now=now)
        cut = found.get("connections_cut", 0)
        tell.orphan(orphan=orphan, connections_cut=cut, error="", now=now)
    log.critical(
        "%s on %s bears our mark and no grant accounts for it: nobody logs in as it any more",
        seen.external_name,
        orphan.target.slug,
    )


def remove(*, orphan_id: int, actor: Actor) -> None:
    """Remove an orphan that was reported, on an operator's word. Raises OrphanGone, and
    OrphanRemains with the target's error.
    """
    orphan = Orphan.objects.select_related("target").filter(pk=orphan_id).first()
    if orphan is None or orphan.resolved_at is not None:
        raise OrphanGone("This orphan was resolved already.")
    if Grant.objects.filter(external_name=orphan.external_name, state__in=_ON_TARGET).exists():
        raise OrphanRemains("A live grant accounts for it by now; revoke the grant instead.")
    seen = Seen(external_name=orphan.external_name, deadline=None, live_connections=0, detail={})
    _remove(orphan, seen, actor=actor)


def _remove(orphan: Orphan, seen: Seen, *, actor: Actor) -> None:
    earlier = orphan.seen.get("evidence", {})
    answer = provisioning.revoke_unknown(
        target=orphan.target, seen=seen, earlier=earlier, now=db.now()
    )
    known = evidence.merged(earlier, answer.evidence)
    if not isinstance(answer, Revoked) or not answer.absent:
        with transaction.atomic():
            elevation.note_evidence(orphan=orphan, evidence=known)
        raise OrphanRemains(
            f"{orphan.target.slug} kept {orphan.external_name}: {answer}. Look at the target."
        )
    with transaction.atomic():
        now = db.now()
        elevation.resolve_orphan(
            orphan=orphan, resolution="removed", evidence=known, actor=actor, now=now
        )
        tell.orphan_resolved(orphan=orphan, now=now)

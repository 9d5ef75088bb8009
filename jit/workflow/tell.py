"""Who is told what on the journeys of a request: each call writes to the outbox, in the
transaction of what it tells of, in one statement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from jit.audit import queries as audit
from jit.audit.operations import Subject
from jit.elevation.models import AfterReview, ElevationRequest, Grant, Orphan
from jit.elevation.states import EndReason, GrantState
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import db
from jit.notifications import operations as notifications
from jit.notifications.kinds import Kind
from jit.notifications.operations import News

ASKING = (Kind.ASKED, Kind.REMINDER, Kind.ESCALATED)
"""What nobody need hear any more once the request is decided."""
AT_ONCE = 500


def _subject(request: ElevationRequest) -> Subject:
    return Subject(type="request", id=str(request.pk), label=str(request))


def _payload(request: ElevationRequest, **more: Any) -> dict[str, Any]:
    """Return what every notification of a request says; nothing that people wrote freely (the
    one exception is the `comment` of an end, which mails and webhooks leave out).
    """
    return {
        "request": request.pk,
        "requester": request.requester.username,
        "role": request.role.slug,
        "target": request.role.target.slug,
        "ticket": request.ticket_key,
        "ticket_system": request.ticket_system,
        "duration_seconds": request.granted_seconds,
        "extends": request.extends_id is not None,
        "break_glass": request.break_glass,
        **more,
    }


def _of_grant(grant: Grant, **more: Any) -> dict[str, Any]:
    return {
        "request": grant.request_id,
        "grant": grant.pk,
        "requester": grant.user.username,
        "role": grant.role.slug,
        "target": grant.target.slug,
        "ticket": grant.request.ticket_key,
        "ticket_system": grant.request.ticket_system,
        "duration_seconds": grant.duration_seconds,
        **more,
    }


def _commented(request: ElevationRequest) -> str:
    """Return the ticket system to write back to, or nothing where the operators want it so."""
    system = request.ticket_system
    return system if system in settings.TICKET_COMMENTS else ""


def _subject_of(grant: Grant) -> Subject:
    return Subject(type="request", id=str(grant.request_id), label=f"request {grant.request_id}")


# --- Asking and deciding ----------------------------------------------------------------


def asked(
    *,
    request: ElevationRequest,
    position: int,
    people: Iterable[User],
    answer_by: dt.datetime,
    now: dt.datetime,
    kind: Kind = Kind.ASKED,
    key: str = "",
) -> None:
    """Ask these people to decide on the request's step; as a reminder or an escalation by
    `kind`, each with a `key` of its own. The requester is never among those asked.
    """
    notifications.notify(
        kind=kind,
        recipients=[one for one in people if one.person_id != request.requester.person_id],
        subject=_subject(request),
        payload=_payload(request, position=position, answer_by=answer_by),
        key=key or f"{kind}:{request.pk}:{position}",
        now=now,
        useful_until=answer_by,
        ticket_system=_commented(request) if (kind, position, key) == (Kind.ASKED, 1, "") else "",
    )


def allowed(*, request: ElevationRequest, now: dt.datetime) -> None:
    """Write under the ticket that policy approved the request without asking anybody."""
    notifications.notify(
        kind=Kind.DECIDED,
        recipients=(),
        subject=_subject(request),
        payload=_payload(request, verdict="approve", by="", final=True),
        key=f"allowed:{request.pk}",
        now=now,
        ticket_system=_commented(request),
        only_ticket=True,
    )


def decided(
    *,
    request: ElevationRequest,
    position: int,
    verdict: str,
    by: User,
    behalf: str,
    voices: Sequence[str],
    people: Iterable[User],
    final: bool,
    now: dt.datetime,
) -> None:
    """Tell the requester, and the other people whom the step asked, how it was decided: `by`
    whom, on whose `behalf` ("" for their own), and with which `voices` in all. `final` says
    that nothing more is asked.
    """
    others = [one for one in people if one.pk not in {by.pk, request.requester_id}]
    notifications.notify(
        kind=Kind.DECIDED,
        recipients=[request.requester, *others],
        subject=_subject(request),
        payload=_payload(
            request,
            position=position,
            verdict=verdict,
            by=by.username,
            behalf=behalf,
            voices=" and ".join(voices),
            final=final,
        ),
        key=f"decided:{request.pk}:{position}",
        now=now,
        overtakes=ASKING,
        ticket_system=_commented(request),
    )


def spoke(*, request: ElevationRequest, by: User, now: dt.datetime) -> None:
    """Settle what asked this person, who has spoken; the step may still need further voices."""
    notifications.settle(subject=_subject(request), kinds=ASKING, now=now, user=by)


def closed(*, request: ElevationRequest, verb: str, by_requester: bool, now: dt.datetime) -> None:
    """Tell the requester that the request lapsed or was withdrawn, unless they did it."""
    notifications.notify(
        kind=Kind.DECIDED,
        recipients=[] if by_requester else [request.requester],
        subject=_subject(request),
        payload=_payload(request, verdict=verb, final=True),
        key=f"decided:{request.pk}:{verb}",
        now=now,
        overtakes=ASKING,
        ticket_system=_commented(request),
        only_ticket=by_requester,
    )


# --- The grant --------------------------------------------------------------------------


def active(*, grant: Grant, now: dt.datetime) -> None:
    """Tell the holder that the privilege works, and until when; again when it was extended."""
    notifications.notify(
        kind=Kind.ACTIVE,
        recipients=[grant.user],
        subject=_subject_of(grant),
        payload=_of_grant(grant, since=grant.starts_at, until=grant.ends_at),
        key=f"active:{grant.pk}:{grant.ends_at:%Y%m%dT%H%M%S.%f}",
        now=now,
        useful_until=grant.ends_at,
        ticket_system=_commented(grant.request),
    )


def ended(*, grants: Sequence[Grant], now: dt.datetime, at_once: bool = True) -> None:
    """Tell the holders that these grants were seen gone (or never came to be), and why, by whom:
    `at_once`, or when whoever revokes has no more to revoke, which comes first.
    """
    revoked = [grant.pk for grant in grants if grant.end_reason == EndReason.REVOKED]
    by = audit.revokers_of(revoked) if revoked else {}
    notifications.notify_all(
        news=[
            News(
                kind=Kind.ENDED,
                recipients=(grant.user,),
                subject=_subject_of(grant),
                payload=_of_grant(
                    grant,
                    reason=grant.end_reason,
                    by=by.get(grant.pk, ""),
                    comment=grant.end_comment,
                    at=grant.revocation_verified_at or now,
                ),
                key=f"ended:{grant.pk}",
                overtakes=(Kind.ACTIVE, Kind.ENDING_SOON, Kind.TICKET_CLOSED),
                settles=(Kind.REVOCATION_STUCK,),
                ticket_system=_commented(grant.request),
            )
            for grant in grants
        ],
        now=now,
        at_once=at_once,
    )


def ticket_closed(*, grant: Grant, revoke_at: dt.datetime, key: str, now: dt.datetime) -> None:
    """Tell the holder that the ticket was closed and when the grant ends for it."""
    notifications.notify(
        kind=Kind.TICKET_CLOSED,
        recipients=[grant.user],
        subject=_subject_of(grant),
        payload=_of_grant(grant, until=revoke_at, ticket=key),
        key=f"ticket-closed:{grant.pk}",
        now=now,
        useful_until=revoke_at,
    )


def _operators() -> list[User]:
    """Return who may read operations or take grants back; some are in it twice."""
    readers = identity.holders_of(Permission.OPERATIONS_READ)
    return [*readers, *identity.holders_of(Permission.GRANT_REVOKE)]


def stuck(*, grant: Grant, since: dt.datetime, now: dt.datetime) -> None:
    """Ring: tell the operators, and the role's owners, that a revocation is not proven."""
    owners = identity.members_of(grant.role.owner_group.slug)
    everybody = {one.pk: one for one in [*_operators(), *owners]}
    notifications.notify(
        kind=Kind.REVOCATION_STUCK,
        recipients=everybody.values(),
        subject=_subject_of(grant),
        payload=_of_grant(grant, since=since),
        key=f"revocation-stuck:{grant.pk}",
        now=now,
    )


def orphan(*, orphan: Orphan, connections_cut: int, error: str, now: dt.datetime) -> None:
    """Ring, once: tell the operators that access under our mark was found that no grant accounts
    for, and that it was suspended, or with which `error` it was not.
    """
    notifications.notify(
        kind=Kind.ORPHAN,
        recipients={one.pk: one for one in _operators()}.values(),
        subject=_subject_of_orphan(orphan),
        payload={
            "orphan": orphan.external_name,
            "target": orphan.target.slug,
            "connections_cut": connections_cut,
            "error": error,
        },
        key=f"orphan:{orphan.pk}:{'live' if error else 'suspended'}",
        now=now,
    )


def orphan_resolved(*, orphan: Orphan, now: dt.datetime) -> None:
    """Settle what the operators were told of it: it is gone."""
    notifications.settle(subject=_subject_of_orphan(orphan), kinds=[Kind.ORPHAN], now=now)


def _subject_of_orphan(orphan: Orphan) -> Subject:
    return Subject(type="orphan", id=orphan.external_name, label=str(orphan))


def ending_soon() -> int:
    """Tell the holders of grants that end within `ENDING_SOON` seconds, once for each end;
    return how many were told. A grant that was never longer than that said so when it began.
    """
    within = dt.timedelta(seconds=settings.ENDING_SOON)
    told = 0
    while True:
        with transaction.atomic():
            now = db.now()
            grants = list(
                Grant.objects.select_related("user", "role", "target", "request")
                .filter(state=GrantState.ACTIVE, ends_at__gt=now, ends_at__lte=now + within)
                .filter(Q(told_of_end__isnull=True) | ~Q(told_of_end=F("ends_at")))
                .order_by("ends_at")
                .select_for_update(of=("self",), skip_locked=True)[:AT_ONCE]
            )
            Grant.objects.filter(pk__in=[grant.pk for grant in grants]).update(
                told_of_end=F("ends_at")
            )
            news = [_ending(grant, now) for grant in grants if _worth_a_word(grant, within)]
            told += len(news)
            notifications.notify_all(news=news, now=now)
        if len(grants) < AT_ONCE:
            return told


def _worth_a_word(grant: Grant, within: dt.timedelta) -> bool:
    if grant.ends_at is None or grant.starts_at is None or grant.revoke_at is not None:
        return False
    return grant.ends_at - grant.starts_at > within


def _ending(grant: Grant, now: dt.datetime) -> News:
    assert grant.ends_at is not None  # noqa: S101 -- an active grant has an end
    minutes = max(1, round((grant.ends_at - now).total_seconds() / 60))
    return News(
        kind=Kind.ENDING_SOON,
        recipients=(grant.user,),
        subject=_subject_of(grant),
        payload=_of_grant(
            grant, until=grant.ends_at, left=f"{minutes} minute{'s' if minutes > 1 else ''}"
        ),
        key=f"ending-soon:{grant.pk}:{grant.ends_at:%Y%m%dT%H%M%S.%f}",
        useful_until=grant.ends_at,
    )


# --- Break-glass ------------------------------------------------------------------------


def break_glass_used(
    *, request: ElevationRequest, people: Iterable[User], due_at: dt.datetime, now: dt.datetime
) -> None:
    """Tell everybody whose approval was skipped, and the role's owners, that they review it."""
    notifications.notify(
        kind=Kind.BREAK_GLASS_USED,
        recipients=[one for one in people if one.person_id != request.requester.person_id],
        subject=_subject(request),
        payload=_payload(request, due_at=due_at),
        key=f"break-glass-used:{request.pk}",
        now=now,
        ticket_system=_commented(request),
    )


def ticket_filed(*, request: ElevationRequest, now: dt.datetime) -> None:
    """Write under the ticket, which was promised only, what it was filed for."""
    notifications.notify(
        kind=Kind.BREAK_GLASS_USED,
        recipients=(),
        subject=_subject(request),
        payload=_payload(request),
        key=f"ticket-filed:{request.pk}",
        now=now,
        ticket_system=_commented(request),
        only_ticket=True,
    )


def review_due(*, review: AfterReview, people: Iterable[User], now: dt.datetime) -> None:
    """Tell the reviewers that the review's deadline has passed."""
    request = review.request
    notifications.notify(
        kind=Kind.REVIEW_DUE,
        recipients=[one for one in people if one.person_id != request.requester.person_id],
        subject=_subject(request),
        payload=_payload(request, due_at=review.due_at),
        key=f"review-due:{review.pk}",
        now=now,
    )


def reviewed(*, request: ElevationRequest, now: dt.datetime) -> None:
    """Settle what asked the reviewers: one of them has answered."""
    kinds = (Kind.BREAK_GLASS_USED, Kind.REVIEW_DUE)
    notifications.settle(subject=_subject(request), kinds=kinds, now=now)

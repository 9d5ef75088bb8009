"""The rows of posted copies: which there should be, who draws which, and how it went.

A change raises `wanted_version` of every copy. A worker claims a copy with a lease, draws it from
the database as it is then, talks to Slack without any lock, and writes down the version drawn.
Whoever finds their lease gone asks for one more drawing, so an older text is never the last.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from approvals import queries as approvals
from approvals.slack import config, links, messages
from approvals.slack.models import Audience, Fate, SlackMessage, new_handle
from jit.audit import queries as audit
from jit.audit.actions import Action
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest, Grant
from jit.elevation.states import GrantState, RequestState
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import db
from jit.notifications import queries as notifications
from jit.notifications.kinds import Kind
from jit.workflow import ports

LEASE = dt.timedelta(seconds=30)
STALE = dt.timedelta(minutes=30)
"""A copy that could not be posted this long after the request was closed is dropped."""
FIRST_WAIT = 2.0
LONGEST_WAIT = 60.0
MOST_APPROVERS = 20
"""More people than this are not each written to; the channel and the inbox reach them."""
BATCH = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """A copy that is ours to draw until the lease ends, and its drawing."""

    copy: SlackMessage
    version: int
    lease: UUID
    drawing: messages.Drawing
    sought: bool
    """Whether an earlier post's answer was lost: look for it before posting again."""


def snapshot(request_id: UUID) -> messages.Snapshot:
    """Return the request as it is now. Raises UnknownRequest."""
    row = elevation.requests().filter(pk=request_id).first()
    if row is None:
        raise elevation.UnknownRequest("There is no such request.")
    grant: Grant | None = getattr(row, "grant", None)
    return messages.Snapshot(
        row=row,
        chain=approvals.describe([row]).get(row.pk),
        grant=grant,
        past=tuple(elevation.requested_before(row, messages.PAST)),
        now=db.now(),
        recordings=_recordings_of(grant),
        why_withdrawn=audit.why(row.pk, Action.REQUEST_WITHDRAWN)
        if row.state == RequestState.WITHDRAWN
        else "",
    )


def _recordings_of(grant: Grant | None) -> tuple[str, ...]:
    if grant is None or grant.starts_at is None:  # It never worked: nothing was done with it.
        return ()
    return tuple(ports.sessions().recordings(grant_id=grant.pk))


def plan(*, request_id: UUID, force: bool = True, asked: User | None = None) -> list[UUID]:
    """Write the copies that this request should have, ask for a new drawing of each (only of
    those that could look different, unless `force`), and return which wait for one. `asked` is
    somebody who gets a copy even where there are too many to write to each.
    """
    with transaction.atomic():
        db.lock_until_commit(f"slack:{request_id}")
        shot = snapshot(request_id)
        seen = shot.fingerprint()
        there = {
            (copy.audience, copy.user_id): copy
            for copy in SlackMessage.objects.filter(request_id=request_id)
        }
        SlackMessage.objects.bulk_create(
            SlackMessage(
                handle=new_handle(),
                request_id=request_id,
                audience=audience,
                user_id=user_id,
                fingerprint=seen,
                created_at=shot.now,
                next_try_at=shot.now,
            )
            for audience, user_id in _wanted(shot, asked)
            if (audience, user_id) not in there
        )
        changed = [copy.pk for copy in there.values() if force or copy.fingerprint != seen]
        SlackMessage.objects.filter(pk__in=changed, fate__in=[Fate.WAITING, Fate.POSTED]).update(
            wanted_version=F("wanted_version") + 1, fingerprint=seen, next_try_at=shot.now
        )
        rows = SlackMessage.objects.filter(_due(shot.now), request_id=request_id)
        return list(rows.order_by("created_at", "id").values_list("pk", flat=True))


def _wanted(shot: messages.Snapshot, asked: User | None) -> list[tuple[str, UUID | None]]:
    """Return the copies there should be: one for each who is asked (and wants to hear of it in
    Slack), one for the requester, and one in the channel.
    """
    row = shot.row
    pending = row.state == RequestState.PENDING
    keys: list[tuple[str, UUID | None]] = []
    if pending or shot.now - row.created_at < STALE:
        keys.append((Audience.REQUESTER, row.requester_id))
        found = config.current()
        if found and found.channel:
            keys.append((Audience.CHANNEL, None))
    if pending and shot.open_step is not None:
        names = frozenset(shot.open_step.candidates)
        people = {user.pk for user in identity.users_by_usernames(names)}
        if len(people) > MOST_APPROVERS:
            people &= {asked.pk} if asked else set()
        mute = notifications.muted(people, kind=Kind.ASKED, channel="slack")
        keys += [(Audience.APPROVER, pk) for pk in sorted(people - mute)]
    return keys


def _due(now: dt.datetime) -> Q:
    return (
        Q(fate__in=[Fate.WAITING, Fate.POSTED], drawn_version__lt=F("wanted_version"))
        & (Q(next_try_at__isnull=True) | Q(next_try_at__lte=now))
        & (Q(lease_until__isnull=True) | Q(lease_until__lte=now))
    )


def due() -> list[UUID]:
    """Return the copies that wait for a drawing now."""
    rows = SlackMessage.objects.filter(_due(db.now())).order_by("next_try_at", "id")
    return list(rows.values_list("pk", flat=True)[:BATCH])


def watched() -> list[UUID]:
    """Return the requests whose copies may have to change although nobody said so: pending
    ones, those with a live grant, and those closed a little while ago.
    """
    now = db.now()
    rows = ElevationRequest.objects.filter(
        Q(state=RequestState.PENDING)
        | Q(closed_at__gte=now - STALE)
        | Q(
            grant__state__in=[
                GrantState.SCHEDULED,
                GrantState.ACTIVATING,
                GrantState.ACTIVE,
                GrantState.REVOKING,
            ]
        )
        | Q(grant__revocation_verified_at__gte=now - STALE)
    )
    return list(rows.order_by("-created_at").values_list("pk", flat=True)[:1000])


def concerning(user: User) -> list[UUID]:
    """Return the requests with a copy for this person that still matters."""
    rows = SlackMessage.objects.filter(user=user, request__state=RequestState.PENDING)
    return list(rows.values_list("request_id", flat=True)[:BATCH])


def claim(message_id: UUID) -> Claim | None:
    """Take a due copy and draw it; None where somebody else has it or nothing is due."""
    with transaction.atomic():
        now = db.now()
        copy = (
            SlackMessage.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("user")
            .filter(_due(now), pk=message_id)
            .first()
        )
        if copy is None:
            return None
        shot = snapshot(copy.request_id)
        if _too_late(copy, shot):
            _set(copy.pk, fate=Fate.DROPPED, last_error="too late to be of use")
            return None
        lease = uuid.uuid4()
        _set(copy.pk, lease=lease, lease_until=now + LEASE)
        linked = copy.user is not None and links.account_of(copy.user) is not None
        return Claim(
            copy=copy,
            version=copy.wanted_version,
            lease=lease,
            drawing=messages.draw(copy=copy, shot=shot, viewer=copy.user, linked=linked),
            sought=copy.attempted_at is not None and not copy.ts,
        )


def _too_late(copy: SlackMessage, shot: messages.Snapshot) -> bool:
    if copy.ts or copy.attempted_at:
        return False
    row = shot.row
    if row.state == RequestState.APPROVED and shot.grant and shot.grant.ends_at:
        return shot.now - shot.grant.ends_at >= STALE
    return row.closed_at is not None and shot.now - row.closed_at >= STALE


def attempting(held: Claim, *, channel: str) -> None:
    """Write down, before a post, that it may have happened."""
    SlackMessage.objects.filter(pk=held.copy.pk, lease=held.lease).update(
        attempted_at=db.now(), channel=channel
    )


def drawn(held: Claim, *, channel: str, ts: str) -> bool:
    """Write down what is on show; return whether a newer version is wanted already."""
    now = db.now()
    with transaction.atomic():
        row = SlackMessage.objects.select_for_update().get(pk=held.copy.pk)
        ours = row.lease == held.lease
        if not ours:
            # Somebody else drew meanwhile, and ours may have come after theirs.
            _set(
                row.pk,
                wanted_version=F("wanted_version") + 1,
                drawn_digest="",
                next_try_at=now,
            )
            return True
        _set(
            row.pk,
            channel=channel,
            ts=ts,
            fate=Fate.POSTED,
            drawn_version=held.version,
            drawn_digest=held.drawing.digest(),
            posted_at=row.posted_at or now,
            lease=None,
            lease_until=None,
            tries=0,
            next_try_at=now,
            last_error="",
        )
        return row.wanted_version > held.version


def failed(
    held: Claim,
    *,
    error: str,
    permanent: bool = False,
    happened: bool = True,
    retry_after: float | None = None,
) -> None:
    """Give the copy back. It is tried again with growing waits, or after `retry_after` seconds;
    never again if `permanent`. `happened` is False when the post surely did not take place.
    """
    wait = min(FIRST_WAIT * 2 ** min(held.copy.tries, 10), LONGEST_WAIT)
    wait = wait * random.uniform(0.8, 1.2) if retry_after is None else retry_after  # noqa: S311 -- spreads retries, guards nothing
    changes: dict[str, object] = {
        "lease": None,
        "lease_until": None,
        "tries": F("tries") + 1,
        "next_try_at": db.now() + dt.timedelta(seconds=wait),
        "last_error": error[:300],
    }
    if permanent:
        changes["fate"] = Fate.LOST
    if happened:
        changes["drawn_digest"] = ""
    else:
        changes["attempted_at"] = held.copy.attempted_at
    SlackMessage.objects.filter(pk=held.copy.pk, lease=held.lease).update(**changes)


def later(held: Claim, *, seconds: float) -> None:
    """Give the copy back untried: its channel had a message this very second."""
    SlackMessage.objects.filter(pk=held.copy.pk, lease=held.lease).update(
        lease=None,
        lease_until=None,
        next_try_at=db.now() + dt.timedelta(seconds=seconds),
    )


def of(*, request_id: UUID, user: User, audience: str) -> SlackMessage | None:
    return SlackMessage.objects.filter(request_id=request_id, user=user, audience=audience).first()


def by_handle(handle: str) -> SlackMessage | None:
    return SlackMessage.objects.filter(handle=handle[:32]).first()


def of_request(request_id: UUID) -> list[SlackMessage]:
    """Return the copies of a request and how their delivery stands."""
    rows = SlackMessage.objects.filter(request_id=request_id).select_related("user")
    return list(rows.order_by("audience", "created_at"))


def people_of(request_id: UUID) -> list[UUID]:
    """Return whoever has a copy of this request."""
    rows = SlackMessage.objects.filter(request_id=request_id, user__isnull=False)
    return [pk for pk in rows.values_list("user_id", flat=True) if pk is not None]


def _set(pk: UUID, **changes: object) -> None:
    SlackMessage.objects.filter(pk=pk).update(**changes)

"""What the clock does to open steps: ask newcomers, remind, escalate, ring when nobody is left.

None of it is a word in the chain: a step is met by people only.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from approvals import delegation_queries, queries, resolving, rules
from approvals.delegation_queries import Eligible
from approvals.models import Step
from approvals.resolving import Found
from approvals.states import STEP, StepState, Verdict
from jit.audit import operations as audit
from jit.elevation import queries as elevation
from jit.elevation.states import RequestState
from jit.identity import queries as identity
from jit.identity.models import User
from jit.kernel import db, tasks
from jit.kernel.actor import CLOCK
from jit.notifications import queries as notifications
from jit.notifications.kinds import Kind
from jit.workflow import decide as journey
from jit.workflow import hints, tell

log = logging.getLogger(__name__)

AT_ONCE = 200
ASKING = (Kind.ASKED, Kind.ESCALATED)
EVERY = dt.timedelta(seconds=15)
"""How often an open step is looked at for whether somebody is left to answer it."""


def watch() -> int:
    """Look at the open steps whose turn it is; return how many. Steps are taken by moving
    their `look_at`, so that several workers share them and a killed one delays by `EVERY`.
    """
    taken = _take(db.now())
    for step_id in taken:
        try:
            step, found = _step(step_id), None
            if resolving.is_relative(step) and _will_ask_further(step, db.now()):
                if resolving.asks_who_is_on_call(step):
                    # Another system is asked first, and the clock waits for none.
                    tasks.enqueue("approvals.look_again", str(step_id))
                    continue
                found = resolving.now_of(step)
            with transaction.atomic():
                _look(step, found)
        except Exception:  # one odd step must not hold up the rest of the clock's work
            log.exception("could not look at step %s", step_id)
    return len(taken)


def look_again(step_id: UUID) -> None:
    """Look at one open step with whom its words mean now; may wait for the on-call system."""
    step = _step(step_id)
    if step.state != StepState.OPEN:
        return
    found = resolving.now_of(step)
    with transaction.atomic():
        _look(step, found)


def steps_naming(expression: str) -> list[UUID]:
    """Return the open steps in whose own words the expression stands."""
    rows = _steps().filter(state=StepState.OPEN)
    return [step.pk for step in rows if expression in resolving.words_of(step)]


def look_soon(expression: str) -> int:
    """Let the next sweep look at the open steps that ask this expression; return how many."""
    rows = Step.objects.filter(state=StepState.OPEN, resolved__contains=[expression])
    return rows.update(look_at=db.now())


def _steps() -> QuerySet[Step]:
    return Step.objects.select_related(
        "chain__request__requester__manager", "chain__request__role__owner_group"
    )


def _step(step_id: UUID) -> Step:
    return _steps().get(pk=step_id)


def _will_ask_further(step: Step, now: dt.datetime) -> bool:
    """Return whether this look will remind, escalate or find that nobody is left."""
    if step.remind_at is not None and step.remind_at <= now:
        return True
    if step.escalated_at is None and step.escalate_at is not None and step.escalate_at <= now:
        return True
    found = delegation_queries.eligible(step.resolved)
    return step.nobody_left_at is None and not _enough(step, found, step.resolved)


def _take(now: dt.datetime) -> list[UUID]:
    with transaction.atomic():
        rows = list(
            Step.objects.filter(state=StepState.OPEN, look_at__lte=now)
            .order_by("look_at")
            .select_for_update(skip_locked=True, of=("self",))
            .values_list("pk", flat=True)[:AT_ONCE]
        )
        if rows:
            Step.objects.filter(pk__in=rows).update(look_at=now + EVERY)
    return rows


def _look(known: Step, found: Found | None) -> None:
    request = elevation.lock_request(known.chain.request_id)
    now = db.now()
    step = Step.objects.select_related("chain").get(pk=known.pk)
    if request.state != RequestState.PENDING or step.state != StepState.OPEN:
        return
    if now >= request.lapses_at:
        return
    step.chain.request = request
    if found is not None:
        _ask_whom_it_means_now(step, found, now=now)
    if step.escalated_at is None and step.escalate_at is not None and step.escalate_at <= now:
        escalate(step=step, to=step.escalate_to, why="overdue", now=now)
    elif step.remind_at is not None and step.remind_at <= now:
        remind(step=step, now=now)
    _ring_if_nobody_left(step=step, now=now)
    _ask_newcomers(step, now=now)
    _set_next_look(step, now)


def _ask_whom_it_means_now(step: Step, found: Found, *, now: dt.datetime) -> None:
    """Take up whom the step's words mean now. Who was asked before may still answer; where the
    words mean nobody now (the on-call system does not answer), those stay who they meant.
    """
    step.escalate_to = found.escalate_to or step.escalate_to
    step.fallback = found.fallback or step.fallback
    more = [*found.any_of, *(step.escalate_to if step.escalated_at else [])]
    added = [one for one in dict.fromkeys(more) if one not in step.resolved]
    step.resolved = [*step.resolved, *added]
    step.save(update_fields=["escalate_to", "fallback", "resolved"])
    if added:
        journey.ask_also(request=step.chain.request, approvers=added)
        _record("step.asked-also", step, {"position": step.position, "added": added}, now=now)


def _ask_newcomers(step: Step, *, now: dt.datetime) -> None:
    """Ask those who may answer by now and were not asked: new in a group, on call, standing in."""
    asked = queries.people_to_ask(step)
    told = notifications.told_of_step(step.chain.request_id, step.position, ASKING)
    new = [user for user in asked if user.pk not in told]
    if new:
        _ask(step, new, kind=Kind.ASKED, now=now, key="newcomers")
        hints.about_request(step.chain.request_id, people=[user.pk for user in new])


def _set_next_look(step: Step, now: dt.datetime) -> None:
    ahead = [at for at in (step.remind_at, None if step.escalated_at else step.escalate_at) if at]
    step.look_at = max(now, min([now + EVERY, *ahead]))
    step.save(update_fields=["look_at"])


def remind(*, step: Step, now: dt.datetime) -> None:
    """Remind, once, those whose word the open step still waits for. In the caller's
    transaction, with the request locked.
    """
    step.remind_at = None
    step.save(update_fields=["remind_at"])
    _record("step.reminded", step, {"position": step.position}, now=now)
    _ask(step, queries.people_to_ask(step), kind=Kind.REMINDER, now=now)


def escalate(*, step: Step, to: Sequence[str], why: str, now: dt.datetime) -> list[str]:
    """Open the step to further approvers, the first ones stay; return the expressions added.
    It never approves. In the caller's transaction, with the request locked.
    """
    before = {user.pk for user in queries.people_to_ask(step)}
    added = [one for one in dict.fromkeys(to) if one not in step.resolved]
    step.resolved = [*step.resolved, *added]
    step.escalated_to = [*step.escalated_to, *added]
    step.escalated_at = step.escalated_at or now
    step.save(update_fields=["resolved", "escalated_to", "escalated_at"])
    journey.ask_also(request=step.chain.request, approvers=added)
    _record("step.escalated", step, {"position": step.position, "to": added, "why": why}, now=now)
    asked = queries.people_to_ask(step)
    new = [user for user in asked if user.pk not in before]
    _ask(step, new, kind=Kind.ESCALATED, now=now, key=":".join(added))
    hints.about_request(step.chain.request_id, people=[user.pk for user in asked])
    return added


def _ask(
    step: Step, people: Sequence[User], *, kind: Kind, now: dt.datetime, key: str = ""
) -> None:
    assert step.lapses_at is not None  # noqa: S101 -- an open step has one
    request = step.chain.request
    tell.asked(
        request=request,
        position=step.position,
        people=people,
        answer_by=step.lapses_at,
        now=now,
        kind=kind,
        key=f"{kind}:{request.pk}:{step.position}:{key}"[:200],
    )


def _ring_if_nobody_left(*, step: Step, now: dt.datetime) -> None:
    owner = f"group:{step.chain.request.role.owner_group.slug}"
    further = [*step.escalate_to, *step.fallback]
    found = delegation_queries.eligible([*step.resolved, *further, owner])
    if _enough(step, found, step.resolved):
        if step.nobody_left_at is not None:
            step.nobody_left_at = None
            step.save(update_fields=["nobody_left_at"])
        return
    if step.nobody_left_at is not None:
        return
    to = further if _enough(step, found, [*step.resolved, *further]) else [*further, owner]
    step.nobody_left_at = now
    step.save(update_fields=["nobody_left_at"])
    _record(
        "chain.nobody-left",
        step,
        {"position": step.position, "asked": step.resolved, "escalated_to": to},
        now=now,
    )
    escalate(step=step, to=to, why="nobody left", now=now)
    slug = step.chain.request.role.owner_group.slug
    _ask(step, list(identity.members_of(slug)), kind=Kind.ESCALATED, now=now, key="nobody-left")


def _enough(step: Step, found: Sequence[Eligible], resolved: Sequence[str]) -> bool:
    """Return whether as many people as the step still needs could answer it.

    A delegator and the stand-in share a voice: each person is counted once, by the stand-in
    only where the owner of the voice can't be.
    """
    asked, requester = set(resolved), step.chain.request.requester.person_id
    spoken = queries.spoken_in(step)
    voices: set[UUID] = set()
    for one in found:
        if one.user.person_id in {requester, *spoken}:
            continue
        own = {one.user.person_id} if one.own & asked else set()
        lent = {m.person for m in one.mandates if m.expressions & asked} - {requester, *spoken}
        voices |= own or lent
    approvals = step.decisions.filter(verdict=Verdict.APPROVE).values_list("person", flat=True)
    given = len(set(approvals))
    return rules.met(approvals=voices, quorum=max(step.quorum - given, 0))


def _record(action: str, step: Step, body: dict[str, object], *, now: dt.datetime) -> None:
    audit.record(
        action=action,
        actor=CLOCK,
        now=now,
        subject=audit.subject_of(step, STEP),
        body=body,
        request_id=step.chain.request_id,
    )

"""Writes to chains: open one, decide on a step, cancel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db import transaction

from approvals import delegation_queries, queries, rules, too_late
from approvals.models import Chain, Decision, Step
from approvals.states import CHAIN, STEP, ChainState, StepState, Verdict
from jit.audit import operations as audit
from jit.elevation import queries as elevation
from jit.elevation.models import ElevationRequest
from jit.elevation.states import RequestState
from jit.identity.models import User
from jit.identity.step_up import StepUpRequired
from jit.kernel.actor import Actor, Channel
from jit.kernel.errors import Conflict, DomainError, NotAllowed
from jit.policy.ruling import StepSpec
from jit.workflow import decide as journey
from jit.workflow import hints, tell
from jit.workflow.ports import Resolution


class NothingToDecide(Conflict):
    """The request asks nobody: it was approved by policy alone."""


class UnknownStep(Conflict):
    """The decision names a step that the request does not have: whoever decides was shown
    something else.
    """


class ChannelTooWeak(NotAllowed):
    """The policy wants this decision through a stronger channel."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision that stands. `repeated` says it was given before and nothing changed now."""

    decision: Decision
    repeated: bool


def open_chain(
    *,
    request: ElevationRequest,
    chain: Sequence[StepSpec],
    resolved: Resolution,
    same_person_may_repeat: bool,
    actor: Actor,
    now: dt.datetime,
) -> list[User]:
    """Write the chain with all its steps WAITING, then open the first; return whom it asks."""
    row = Chain(request=request, same_person_may_repeat=same_person_may_repeat, created_at=now)
    row.save(force_insert=True)
    audit.created(row=row, machine=CHAIN, actor=actor, now=now, body={"steps": len(chain)})
    steps = Step.objects.bulk_create(
        Step(
            chain=row,
            position=position,
            any_of=list(spec.any_of),
            resolved=list(who),
            quorum=spec.quorum,
            lapse_after_seconds=spec.lapse_after_seconds,
            escalate_to=list(more),
            escalate_after_seconds=spec.escalate_after_seconds,
            fallback=list(fallback),
        )
        for position, (spec, who, more, fallback) in enumerate(
            zip(
                chain,
                resolved.approvers,
                resolved.escalate_to or [[]] * len(chain),
                resolved.fallback or [[]] * len(chain),
                strict=True,
            ),
            start=1,
        )
    )
    for step in steps:
        audit.created(
            row=step,
            machine=STEP,
            actor=actor,
            now=now,
            body={"position": step.position, "any_of": step.any_of, "quorum": step.quorum},
        )
    return _open_step(step=steps[0], people=resolved.people[0], actor=actor, now=now)


def _open_step(
    *, step: Step, people: list[User] | None = None, actor: Actor, now: dt.datetime
) -> list[User]:
    """Open the step and ask its people (looked up, unless they are known); return them."""
    lapses_at = now + dt.timedelta(seconds=step.lapse_after_seconds)
    lapses_at = min(lapses_at, step.chain.request.planned_end or lapses_at)
    halfway = now + (lapses_at - now) / 2
    after = step.escalate_after_seconds
    escalate_at = halfway if after is None else now + dt.timedelta(seconds=after)
    audit.transition(
        row=step,
        machine=STEP,
        verb="opened",
        actor=actor,
        now=now,
        changes={
            "opened_at": now,
            "lapses_at": lapses_at,
            "remind_at": halfway,
            "escalate_at": escalate_at if step.escalate_to else None,
            "look_at": now,
        },
        body={"position": step.position, "lapses_at": lapses_at.isoformat()},
    )
    if people is None:
        people = queries.people_to_ask(step)
    tell.asked(
        request=step.chain.request,
        position=step.position,
        people=people,
        answer_by=lapses_at,
        now=now,
    )
    return people


def cancel_chain(*, request: ElevationRequest, actor: Actor, now: dt.datetime) -> None:
    """Close the chain of a withdrawn or lapsed request; nothing to do where there is none."""
    chain = Chain.objects.filter(request=request, state=ChainState.OPEN).first()
    if chain is None:
        return
    chain.request = request
    _skip_rest(chain=chain, actor=actor, now=now)
    audit.transition(
        row=chain, machine=CHAIN, verb="cancelled", actor=actor, now=now, changes={"closed_at": now}
    )


def _skip_rest(*, chain: Chain, actor: Actor, now: dt.datetime) -> None:
    for step in chain.steps.filter(state__in=[StepState.WAITING, StepState.OPEN]):
        step.chain = chain
        audit.transition(
            row=step, machine=STEP, verb="skipped", actor=actor, now=now, changes={"closed_at": now}
        )


def decide(
    *,
    request_id: UUID,
    approver: User,
    verdict: Verdict,
    comment: str,
    duration_seconds: int | None,
    second_factor: bool,
    actor: Actor,
    now: dt.datetime,
    step_id: UUID | None = None,
) -> Outcome:
    """Record one person's word on the open step; the one door of web, API and Slack.

    `second_factor` says that one was given for this very act. `step_id` is the step the person
    was shown: a click on an older one never counts for a later one. Raises the refusals of
    `approvals.rules`, UnknownStep, ChannelTooWeak, StepUpRequired, NothingToDecide and
    UnknownRequest; each attempt refused is on the record as `decision.refused`.
    """
    try:
        with transaction.atomic():
            return _decide(
                request_id=request_id,
                approver=approver,
                verdict=verdict,
                comment=comment,
                duration_seconds=duration_seconds,
                second_factor=second_factor,
                actor=actor,
                now=now,
                step_id=step_id,
            )
    except elevation.UnknownRequest:
        raise
    except DomainError as refusal:
        _record_refusal(request_id=request_id, refusal=refusal, actor=actor, now=now)
        raise


def _record_refusal(
    *, request_id: UUID, refusal: DomainError, actor: Actor, now: dt.datetime
) -> None:
    with transaction.atomic():
        audit.record(
            action="decision.refused",
            actor=actor,
            now=now,
            subject=audit.Subject(
                type="request", id=str(request_id), label=f"request {request_id}"
            ),
            body={"code": refusal.code, "detail": refusal.detail},
            request_id=request_id,
        )


def _decide(
    *,
    request_id: UUID,
    approver: User,
    verdict: Verdict,
    comment: str,
    duration_seconds: int | None,
    second_factor: bool,
    actor: Actor,
    now: dt.datetime,
    step_id: UUID | None,
) -> Outcome:
    request = elevation.lock_request(request_id)
    chain = Chain.objects.filter(request=request).first()
    if chain is None:
        raise NothingToDecide("Policy approved this request without asking anybody.")
    chain.request = request
    steps = list(chain.steps.order_by("position").prefetch_related("decisions__approver"))
    voices = {step.position: list(step.decisions.all()) for step in steps}
    current = next((step for step in steps if step.state == StepState.OPEN), None)
    shown = None if step_id is None else _shown(steps, step_id)
    mandates = tuple(delegation_queries.mandates_of(approver))
    repeated = _said_before(
        spoken_in=steps if shown is None else [shown],
        current=current if shown is None and not chain.same_person_may_repeat else None,
        approver=approver,
        asked_as={
            *elevation.expressions_of(approver),
            *(e for m in mandates for e in m.expressions),
        },
        verdict=verdict,
    )
    if repeated is not None:
        return Outcome(decision=repeated, repeated=True)
    if request.state != RequestState.PENDING or current is None:
        raise too_late.closed(request=request, decisions=[d for ds in voices.values() for d in ds])
    if shown is not None and shown.pk != current.pk:
        raise rules.AlreadyDecided(
            f"Step {shown.position} is over ({shown.state.lower()}); the request now waits at step "
            f"{current.position}. Open it again to see who is asked."
        )
    if now >= request.lapses_at:
        raise too_late.lapsed(request, request.lapses_at)
    if not request.requester.is_active:
        raise rules.RequestWithdrawn(
            f"The account of {request.requester.username} is disabled: this request is being "
            "withdrawn, and nothing is given for it."
        )
    current.chain = chain
    mandate = rules.judge(
        rules.Ask(
            approver_person=approver.person_id,
            approver_name=approver.username,
            approver_expressions=frozenset(elevation.expressions_of(approver)),
            approver_active=approver.is_active,
            requester_person=request.requester.person_id,
            requester_name=request.requester.username,
            position=current.position,
            resolved=tuple(current.resolved),
            voices=tuple(
                rules.Voice(
                    d.person,
                    d.verdict,
                    position,
                    d.approver.username,
                    behalf_person=d.on_behalf_of_person,
                )
                for position, ds in voices.items()
                for d in ds
            ),
            same_person_may_repeat=chain.same_person_may_repeat,
            verdict=verdict,
            comment=comment,
            asked_seconds=request.granted_seconds,
            shorter_seconds=duration_seconds,
            mandates=mandates,
        )
    )
    _check_strength(
        request=request,
        verdict=verdict,
        second_factor=second_factor,
        second_factor_at=approver.second_factor_at,
        actor=actor,
        now=now,
    )
    decision = Decision(
        step=current,
        approver=approver,
        person=approver.person_id,
        on_behalf_of_id=mandate.user_id if mandate else None,
        on_behalf_of_person=mandate.person if mandate else None,
        verdict=verdict,
        channel=actor.channel,
        comment=comment,
        duration_seconds=duration_seconds,
        second_factor=second_factor,
        decided_at=now,
    )
    decision.save(force_insert=True)
    audit.record(
        action="decision.made",
        actor=actor,
        now=now,
        subject=audit.Subject(
            type="step", id=str(current.pk), label=f"step {current.position} of {request}"
        ),
        body={
            "verdict": verdict.value,
            "approver": approver.username,
            "comment": comment,
            "duration_seconds": duration_seconds,
            "second_factor": second_factor,
            **({"on_behalf_of": mandate.name} if mandate else {}),
        },
        request_id=request.pk,
    )
    tell.spoke(request=request, by=approver, now=now)
    if verdict is Verdict.DENY:
        _deny(chain=chain, step=current, decision=decision, actor=actor, now=now)
    else:
        _approve(
            chain=chain,
            step=current,
            voices=[*voices[current.position], decision],
            rest=[step for step in steps if step.position > current.position],
            actor=actor,
            now=now,
        )
    hints.about_request(request.pk, people=[request.requester_id, approver.pk])
    return Outcome(decision=decision, repeated=False)


def _shown(steps: Sequence[Step], step_id: UUID) -> Step:
    for step in steps:
        if step.pk == step_id:
            return step
    raise UnknownStep(
        "The step that you were shown is none of this request's, so that nothing was decided: "
        "open the request again and answer the step that it shows.",
        fields={"step": ["No step of this request."]},
    )


def _said_before(
    *,
    spoken_in: Sequence[Step],
    current: Step | None,
    approver: User,
    asked_as: set[str],
    verdict: Verdict,
) -> Decision | None:
    """Return this person's own equal word in the latest of these steps that they spoke in: a
    double click or a replay changes nothing. Where `current` asks them anew, their earlier
    word is no answer to it.
    """
    for step in reversed(spoken_in):
        for decision in step.decisions.all():
            if decision.person != approver.person_id:
                continue
            asked_anew = (
                current is not None
                and current.pk != step.pk
                and bool(asked_as & set(current.resolved))
            )
            return decision if decision.verdict == verdict and not asked_anew else None
    return None


def _check_strength(
    *,
    request: ElevationRequest,
    verdict: Verdict,
    second_factor: bool,
    second_factor_at: dt.datetime | None,
    actor: Actor,
    now: dt.datetime,
) -> None:
    """Refuse an approval that the policy wants given more strongly; a denial is always welcome."""
    strength = request.ruling.get("obligations", {}).get("approval_strength", "slack")
    if verdict is Verdict.DENY:
        return
    if strength in {"web_phishing_resistant", "notify"} and actor.channel == Channel.SLACK:
        raise ChannelTooWeak(
            "This role is approved on the web, with a second factor: open it there."
        )
    age = dt.timedelta(seconds=settings.SLACK_STEP_UP_AGE)
    if (
        strength == "slack_with_recent_step_up"
        and actor.channel == Channel.SLACK
        and not (second_factor_at and dt.timedelta(0) <= now - second_factor_at < age)
    ):
        raise StepUpRequired(
            "A click counts for this role only within "
            f"{settings.SLACK_STEP_UP_AGE // 60} minutes of your second factor: give it on your "
            "account page, then click again, or decide on the web."
        )
    if strength == "web_phishing_resistant" and not second_factor:
        raise StepUpRequired(
            "Approving this role takes a second factor given for this decision: send your "
            "current code as `otp`, or enter it on the page.",
            fields={"otp": ["Enter the current code of your authenticator."]},
        )


def _deny(*, chain: Chain, step: Step, decision: Decision, actor: Actor, now: dt.datetime) -> None:
    audit.transition(
        row=step, machine=STEP, verb="denied", actor=actor, now=now, changes={"closed_at": now}
    )
    _skip_rest(chain=chain, actor=actor, now=now)
    audit.transition(
        row=chain, machine=CHAIN, verb="denied", actor=actor, now=now, changes={"closed_at": now}
    )
    journey.deny(request=chain.request, actor=actor, now=now)
    _tell(chain=chain, step=step, voices=[decision], final=True, now=now)


def _tell(
    *, chain: Chain, step: Step, voices: Sequence[Decision], final: bool, now: dt.datetime
) -> None:
    """Tell requester and the step's other approvers that it needs nobody any more; the last of
    the voices is the one that closed it.
    """
    last = voices[-1]
    tell.decided(
        request=chain.request,
        position=step.position,
        verdict=last.verdict,
        by=last.approver,
        behalf=last.on_behalf_of.username if last.on_behalf_of else "",
        voices=[str(voice.who) for voice in voices],
        people=queries.people_of(step.resolved),
        final=final,
        now=now,
    )


def _approve(
    *,
    chain: Chain,
    step: Step,
    voices: Sequence[Decision],
    rest: Sequence[Step],
    actor: Actor,
    now: dt.datetime,
) -> None:
    shorter = [d.duration_seconds for d in voices if d.duration_seconds is not None]
    granted = min([chain.request.granted_seconds, *shorter])
    if granted != chain.request.granted_seconds:
        journey.shorten(request=chain.request, granted_seconds=granted)
    approvals = [d.person for d in voices if d.verdict == Verdict.APPROVE]
    if not rules.met(approvals=approvals, quorum=step.quorum):
        return
    audit.transition(
        row=step, machine=STEP, verb="approved", actor=actor, now=now, changes={"closed_at": now}
    )
    final = not rest
    _tell(chain=chain, step=step, voices=voices, final=final, now=now)
    if rest:
        rest[0].chain = chain
        _open_step(step=rest[0], actor=actor, now=now)
        assert rest[0].lapses_at is not None  # noqa: S101 -- set by the line above
        journey.wait_longer(request=chain.request, lapses_at=rest[0].lapses_at)
        return
    audit.transition(
        row=chain, machine=CHAIN, verb="approved", actor=actor, now=now, changes={"closed_at": now}
    )
    journey.approve(request=chain.request, granted_seconds=granted, actor=actor, now=now)

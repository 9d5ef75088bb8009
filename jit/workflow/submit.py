"""Ask for a role: verify the ticket, ask policy, open the chain or grant at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from jit.audit import operations as audit
from jit.catalog import queries as catalog
from jit.catalog.models import Role
from jit.elevation import operations as elevation
from jit.elevation import queries
from jit.elevation.models import LONGEST_JUSTIFICATION, ElevationRequest, Grant
from jit.elevation.states import REQUEST, GrantState
from jit.identity.models import User
from jit.identity.step_up import StepUpRequired
from jit.kernel.actor import Actor
from jit.kernel.errors import DomainError, InvalidInput
from jit.policy import operations as policy
from jit.policy import weighed
from jit.policy.ruling import Outcome, Ruling
from jit.tickets import queries as tickets
from jit.tickets.adapters.base import TicketSnapshot, TicketSystemUnavailable
from jit.workflow import decide, facts, hints, tell
from jit.workflow.ports import Resolution, approvals

log = logging.getLogger(__name__)

SHORTEST_SECONDS = 10
LONGEST_SECONDS = 366 * 86400
"""No policy grants a year; what is longer is a slip of the keyboard, not a question for it."""
LONGEST_AHEAD = dt.timedelta(days=90)


class NotEligible(DomainError):
    """No rule of the policy offers this role to this person with this ticket; the trace says
    which sentence failed.
    """


class DeniedByPolicy(DomainError):
    """A guardrail forbids it, whatever the rules offer."""


class PolicyFailed(DomainError):
    """The policy could not be evaluated; an error is never a yes."""

    status = 503


class DurationTooLong(DomainError):
    """More time than policy, role or ticket allow."""


class AlreadyPending(DomainError):
    """The person has a pending request for this role."""

    status = 409


class IdempotencyKeyReused(DomainError):
    """The key came before, with another ask."""


class AlreadyElevated(DomainError):
    """The person holds a live grant of this role."""

    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a person asks for, as it came in: `duration_seconds` in whole seconds, `ticket` a
    key, `system:key` or pasted link, `extends` the grant to make longer.
    """

    role: str
    ticket: str
    justification: str
    duration_seconds: int
    starts_at: dt.datetime | None = None
    extends: UUID | None = None

    def digest(self) -> str:
        """Return what tells this ask from another one (SHA-256, hexadecimal)."""
        said = [str(value) for value in dataclasses.astuple(self)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """An ask held against the world: what was found and what policy says of it."""

    ask: Ask
    role: Role
    ticket: TicketSnapshot | None
    extends: Grant | None
    ruling: Ruling


def validate(ask: Ask, now: dt.datetime) -> None:
    """Raise InvalidInput, naming every field that is wrong at once."""
    found = {
        "role": "" if ask.role.strip() else "Name the role, such as `orders-db-reader`.",
        "ticket": "" if ask.ticket.strip() else "Name the ticket this is for, by key or link.",
        "justification": _wrong_justification(ask.justification),
        "duration_seconds": ""
        if SHORTEST_SECONDS <= ask.duration_seconds <= LONGEST_SECONDS
        else f"From {SHORTEST_SECONDS} to {LONGEST_SECONDS} seconds.",
        "starts_at": _wrong_start(ask, now),
    }
    wrong = {name: [message] for name, message in found.items() if message}
    if wrong:
        raise InvalidInput("Some fields need another look: " + ", ".join(wrong) + ".", fields=wrong)


def _wrong_justification(text: str) -> str:
    if not text.strip():
        return "Say in a sentence what you need it for."
    if len(text) > LONGEST_JUSTIFICATION:
        return (
            f"At most {LONGEST_JUSTIFICATION} characters; yours has {len(text)}. "
            "Put the rest into the ticket."
        )
    return "It contains a NUL character; remove it." if "\0" in text else ""


def _wrong_start(ask: Ask, now: dt.datetime) -> str:
    starts_at = ask.starts_at
    if starts_at is None:
        return ""
    if starts_at.tzinfo is None:
        return "Give the time with its zone, such as 2030-01-31T09:00:00Z."
    if starts_at > now + LONGEST_AHEAD:
        return f"At most {LONGEST_AHEAD.days} days ahead."
    if starts_at < now - dt.timedelta(minutes=5):
        return "That is in the past; leave it out to start at once."
    if starts_at + dt.timedelta(seconds=ask.duration_seconds - SHORTEST_SECONDS) < now:
        return "It would be over by now; leave it out to start at once."
    return ""


def assess(
    *,
    requester: User,
    ask: Ask,
    now: dt.datetime,
    channel: str,
    break_glass: bool = False,
    look_up_ticket: bool = True,
    only_showing: bool = False,
) -> Assessment:
    """Look everything up and ask policy; change nothing. `only_showing` lets an answer of the
    last minute do for who is on call. Raises UnknownRole, TicketNotFound,
    TicketSystemUnavailable, UnknownGrant and InvalidInput.
    """
    validate(ask, now)
    role = catalog.requestable_role(ask.role)
    extends = None
    if ask.extends is not None:
        extends = queries.grant_visible_to(requester, ask.extends)
        if extends.user_id != requester.pk or extends.role_id != role.pk:
            raise InvalidInput(
                "You can extend only your own grant, and only for the same role.",
                fields={"extends": ["Not a grant of yours for this role."]},
            )
        if extends.state != GrantState.ACTIVE:
            raise elevation.GrantNotActive(
                "Only an active grant can be extended; ask for a new one."
            )
    ticket, unavailable = _look_up(ask.ticket) if look_up_ticket else (None, None)
    ruling = policy.rule(
        facts.of(
            requester=requester,
            role=role,
            ticket=ticket,
            ask_seconds=ask.duration_seconds,
            justification=ask.justification,
            starts_at=ask.starts_at,
            extends=extends is not None,
            break_glass=break_glass,
            channel=channel,
            now=now,
            silent_ticket=ask.ticket if unavailable else "",
            on_call_now=not only_showing,
        ),
        now=now,
    )
    if unavailable is not None and not break_glass and not ruling.outcome.admits:
        raise unavailable
    return Assessment(ask=ask, role=role, ticket=ticket, extends=extends, ruling=ruling)


def _look_up(reference: str) -> tuple[TicketSnapshot | None, TicketSystemUnavailable | None]:
    try:
        return tickets.look_up(reference), None
    except TicketSystemUnavailable as unavailable:
        return None, unavailable


def refuse_unless_offered(assessment: Assessment) -> None:
    """Raise the refusal that the ruling amounts to, or return None when it makes an offer."""
    ruling = assessment.ruling
    extra = {"ruling": public(ruling)}
    if not ruling.outcome.admits:
        refusal = {Outcome.ERROR: PolicyFailed, Outcome.DENIED: DeniedByPolicy}.get(
            ruling.outcome, NotEligible
        )
        raise refusal(" ".join(dict.fromkeys(ruling.missing)), extra=extra)
    if assessment.ask.duration_seconds > ruling.max_duration_seconds:
        raise DurationTooLong(
            f"At most {ruling.max_duration_seconds} seconds are allowed here: ask for no more.",
            fields={"duration_seconds": [f"At most {ruling.max_duration_seconds}."]},
            extra={**extra, "max_duration_seconds": ruling.max_duration_seconds},
        )
    _require_fresh_second_factor(assessment)


def _require_fresh_second_factor(assessment: Assessment) -> None:
    """A request whose grant would start at once needs the second factor now; a later one is
    asked for it when it starts.
    """
    max_age = assessment.ruling.obligations.mfa_max_age_seconds
    if max_age is None or assessment.ruling.outcome is not Outcome.AUTO:
        return
    age = assessment.ruling.facts.get("request", {}).get("second_factor_age")
    if age is None or age > max_age:
        raise StepUpRequired(
            f"This role wants a second factor given in the last {max_age // 60} minutes: "
            "enter your current code on your account page, then ask again."
        )


def public(ruling: Ruling) -> dict[str, Any]:
    """Return the part of a ruling that its requester sees."""
    whole = ruling.as_json()
    return {
        "outcome": whole["outcome"],
        "rule": whole["rule"],
        "guardrails": whole["guardrails"],
        "max_duration_seconds": whole["max_duration_seconds"],
        "trace": weighed.weighed(whole),
        "obligations": whole["obligations"],
        "chain": whole["chain"],
    }


def submit(
    *, requester: User, ask: Ask, actor: Actor, now: dt.datetime, idempotency_key: str = ""
) -> tuple[ElevationRequest, bool]:
    """Submit the ask; return (request, whether it is new). A known idempotency key returns
    the request it made before.

    Raises every refusal of `assess`, and NotEligible, DeniedByPolicy, PolicyFailed,
    DurationTooLong, NobodyCanApprove, AlreadyPending, AlreadyElevated, StepUpRequired; none of
    them leaves a request behind.
    """
    known = _made_by(requester, ask, idempotency_key)
    if known is not None:
        return known, False
    assessment = assess(requester=requester, ask=ask, channel=actor.channel, now=now)
    try:
        refuse_unless_offered(assessment)
        resolved = resolve(assessment, requester=requester)
    except DomainError as refusal:
        record_refusal(assessment, refusal=refusal, actor=actor, now=now)
        raise
    return write(
        requester=requester,
        assessment=assessment,
        resolved=resolved,
        actor=actor,
        now=now,
        idempotency_key=idempotency_key,
    )


def resolve(assessment: Assessment, *, requester: User) -> Resolution:
    """Return whom each step asks; nobody where policy approves by itself."""
    if not assessment.ruling.chain:
        return Resolution(approvers=[], people=[])
    return approvals().resolve(
        chain=assessment.ruling.chain,
        requester=requester,
        role=assessment.role,
        ticket_assignee=assessment.ticket.assignee if assessment.ticket else None,
        same_person_may_repeat=assessment.ruling.obligations.same_person_may_repeat,
    )


def skipped_by(assessment: Assessment, *, requester: User) -> list[str]:
    """Return everybody whose voice a break-glass skips, and who reviews it: the approvers of
    its chain and the policy's reviewers, or the role's owners where that names nobody.
    """
    offer = assessment.ruling.break_glass
    expressions = [*(e for step in offer.chain for e in step.any_of), *offer.reviewers]
    found = approvals().expand(
        any_of=expressions,
        requester=requester,
        role=assessment.role,
        ticket_assignee=assessment.ticket.assignee if assessment.ticket else None,
    )
    return list(dict.fromkeys([*found, f"group:{assessment.role.owner_group.slug}"]))


def record_refusal(
    assessment: Assessment, *, refusal: DomainError, actor: Actor, now: dt.datetime
) -> None:
    ruling = assessment.ruling
    with transaction.atomic():
        audit.record(
            action="policy.error" if ruling.outcome is Outcome.ERROR else "policy.refused",
            actor=actor,
            now=now,
            subject=audit.Subject(
                type="role", id=str(assessment.role.pk), label=assessment.role.slug
            ),
            body={
                "code": refusal.code,
                "detail": refusal.detail,
                "ticket": assessment.ask.ticket[:200],
                "duration_seconds": assessment.ask.duration_seconds,
                "rule": ruling.rule,
                "guardrails": list(ruling.guardrails),
                "bundle_digest": ruling.bundle_digest,
                "facts": ruling.facts,
            },
        )


def write(
    *,
    requester: User,
    assessment: Assessment,
    resolved: Resolution,
    actor: Actor,
    now: dt.datetime,
    idempotency_key: str,
) -> tuple[ElevationRequest, bool]:
    """Write request and chain, or request and grant; return the request and whether it is new:
    of two with one idempotency key the slower gets the other's.
    """
    ask, ruling, role = assessment.ask, assessment.ruling, assessment.role
    if assessment.extends is None:
        try:
            refuse_duplicate(requester, role)
        except (AlreadyPending, AlreadyElevated):
            known = _made_by(requester, ask, idempotency_key)
            if known is None:
                raise
            return known, False  # made since we looked: the same click, come twice at once
    first = ruling.chain[0].lapse_after_seconds if ruling.chain else settings.DEFAULT_LAPSE
    repeat = ruling.obligations.same_person_may_repeat
    try:
        with transaction.atomic(), audit.batch():
            request = elevation.create_request(
                requester=requester,
                role=role,
                ticket=assessment.ticket.as_json()
                if assessment.ticket
                else {"key": ask.ticket, "system": "", "known": False},
                justification=ask.justification,
                duration_seconds=ask.duration_seconds,
                starts_at=ask.starts_at,
                lapses_at=now + dt.timedelta(seconds=first),
                ruling=ruling.as_json(),
                approvers=list(dict.fromkeys(e for step in resolved.approvers for e in step)),
                extends=assessment.extends,
                break_glass=False,
                idempotency_key=idempotency_key,
                ask_digest=ask.digest(),
                actor=actor,
                now=now,
            )
            if ruling.chain:
                asked = approvals().open(
                    request=request,
                    chain=ruling.chain,
                    resolved=resolved,
                    same_person_may_repeat=repeat,
                    actor=actor,
                    now=now,
                )
                people = [user.pk for user in asked]
            else:
                decide.approve(
                    request=request, granted_seconds=ask.duration_seconds, actor=actor, now=now
                )
                tell.allowed(request=request, now=now)
                people = []
            policy.record_shadow(
                ruling=ruling,
                subject=audit.subject_of(request, REQUEST),
                actor=actor,
                now=now,
                request_id=request.pk,
            )
            hints.about_request(request.pk, people=[requester.pk, *people])
    except IntegrityError:
        return _lost_race(requester, role, ask, idempotency_key), False
    return request, True


def refuse_duplicate(requester: User, role: Role, *, supersedes: bool = False) -> None:
    """Raise AlreadyElevated where this person holds the role, and AlreadyPending where they
    asked for it already. What they do now may `supersede` what waits or is scheduled.
    """
    found = queries.in_the_way(requester, role.pk, begun=supersedes)
    if isinstance(found, Grant):
        raise AlreadyElevated(
            f"You hold {role.slug} already (grant {found.pk}, {found.state}): use it, end it, or "
            "extend it instead of asking twice.",
            extra={"grant": str(found.pk), "request": str(found.request_id)},
        )
    if found is not None and not supersedes:
        raise AlreadyPending(
            f"You asked for {role.slug} already and it is pending (request {found.pk}): wait for "
            "its answer or withdraw it.",
            extra={"request": str(found.pk)},
        )


def _made_by(requester: User, ask: Ask, idempotency_key: str) -> ElevationRequest | None:
    """Return the request that this key made before; raise IdempotencyKeyReused if it was asked
    for otherwise: who gets the old answer to a new question believes that it was asked.
    """
    known = queries.by_idempotency_key(requester, idempotency_key)
    if known is not None and known.ask_digest not in ("", ask.digest()):
        raise IdempotencyKeyReused(
            f"This was sent before and asked for something else then (request {known.pk}). "
            "Nothing new was asked for: send it with a new Idempotency-Key, or from a new form.",
            extra={"request": str(known.pk)},
        )
    return known


def _lost_race(requester: User, role: Role, ask: Ask, idempotency_key: str) -> ElevationRequest:
    """Two equal asks at one instant: the database let one in; the other hears of it."""
    known = _made_by(requester, ask, idempotency_key)
    if known is not None:
        return known
    refuse_duplicate(requester, role)
    raise AlreadyPending(f"You asked for {role.slug} at the same moment; look at your requests.")

"""One question before every session: may this person use this grant, through this door, now?"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from jit.audit import operations as audit
from jit.elevation import queries as elevation
from jit.elevation.models import Grant
from jit.elevation.states import GrantState
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor, ActorKind, Channel
from jit.kernel.errors import NotAllowed, NotFound
from jit.workflow import ask_again
from jit.workflow.credential import record_of
from sessions import queries
from sessions.models import AccessSession, GatewayProcess
from sessions.states import OPEN, SESSION, Door, Proof

STRICTNESS = ("none", "best_effort", "required")


class NoSuchGrantOfYours(NotFound):
    """The person holds no active grant of that name."""


class NoSuchHost(NotFound):
    """The grant's target has no host of that name."""


class NotAdmitted(NotAllowed):
    """The grant is there, but may not be used now; the detail says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who stands at the door, and how that is known. `client` names their program, `login_name`
    is the name they gave, whatever their proof opens.
    """

    user: User
    door: Door
    proof: Proof
    source_address: str
    client: str = ""
    login_name: str = ""

    @property
    def actor(self) -> Actor:
        channel = Channel.WEB if self.door is Door.WEB else Channel.CLI
        return Actor(
            kind=ActorKind.USER, id=str(self.user.pk), name=self.user.username, channel=channel
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A session that may be opened, until `ends_at`. That is `over_at` by `time.monotonic` of
    this process, or a moment later, however long the answer took. `record` is what the policy
    demands of the recorder: required, best_effort or none. `target_config` and `role_config`
    are the connector's own.
    """

    session_id: UUID
    grant_id: UUID
    external_name: str
    username: str
    role: str
    target: str
    target_config: Mapping[str, Any] = field(repr=False)
    role_config: Mapping[str, Any]
    ends_at: dt.datetime
    over_at: float
    record: str
    ticket: str
    justification: str


def authorise(
    *, wanted: str, kind: str, caller: Caller, gateway: GatewayProcess, host: str = ""
) -> Admission:
    """Return the admission of `caller` to their grant `wanted` (its name on the target, its
    id, or its role's slug) on a target of `kind`, with its session OPENING and on record.

    Asks account, catalogue and policy again (promise 9), so not inside a transaction. Raises
    NoSuchGrantOfYours and NotAdmitted, whose sentences are for the person.
    """
    grant = _grant(wanted, kind, caller.user)
    record = _ask(grant, caller, db.now())
    _require_host(grant, host)
    return _open(grant=grant, caller=caller, gateway=gateway, host=host, record=record)


def holds_still(*, admitted: Admission, caller: Caller) -> bool:
    """Ask anew, by all that `authorise` asks, whether a session that was admitted may open
    something more. Return False where it may not but a new session may: what it was admitted
    for (the role's or the target's configuration, the recording) is another by now.

    Not inside a transaction. Raises NotAdmitted.
    """
    session = queries.sessions().get(pk=admitted.session_id)
    if session.state not in OPEN or session.end_asked_at is not None:
        raise NotAdmitted("This session has ended. Open a new one.")
    grant = session.grant
    record = _ask(grant, caller, db.now())
    return (
        grant.role.config == admitted.role_config
        and grant.target.config == admitted.target_config
        and max(record, admitted.record, key=STRICTNESS.index) == admitted.record
    )


def _ask(grant: Grant, caller: Caller, now: dt.datetime) -> str:
    """Ask whether the grant may be used now, and how strictly that is recorded. Raises
    NotAdmitted.
    """
    if over := why_over(grant, now):
        raise NotAdmitted(over)
    try:
        ruling = ask_again.before_use(grant, now)
    except (ask_again.NoLongerEligible, ask_again.NotYet) as no:
        _refused(grant, caller, str(no))
        raise NotAdmitted(f"You can't open {grant.role.slug} now: {no}") from no
    record = record_of(grant)
    if ruling is not None and ruling.outcome.admits:
        record = max(record, ruling.obligations.record, key=STRICTNESS.index)
    return record


def _require_host(grant: Grant, host: str) -> None:
    """Raise NoSuchHost where `host` is given and is none of the target's."""
    known = [str(each.get("name", "")) for each in grant.target.config.get("hosts") or []]
    if host and host not in known:
        raise NoSuchHost(
            f"{grant.target.slug} has no host {host[:80]!r}; it has: {', '.join(known)[:500]}."
        )


def why_over(grant: Grant, now: dt.datetime) -> str:
    """Return why nothing is opened by this grant whatever policy says, or an empty text."""
    if grant.state == GrantState.ACTIVE and grant.ends_at is not None and grant.ends_at > now:
        return ""
    if grant.state in {GrantState.SCHEDULED, GrantState.ACTIVATING}:
        return f"Your grant of {grant.role.slug} has not begun yet: see {settings.BASE_URL}/."
    return f"Your grant of {grant.role.slug} has ended. Ask again at {settings.BASE_URL}/."


def _grant(wanted: str, kind: str, user: User) -> Grant:
    found = queries.usable_grant(user=user, wanted=wanted, kind=kind)
    if found is not None:
        return found
    held = [grant.role.slug for grant in elevation.live_grants_of(user)]
    said = f"You hold: {', '.join(held)}." if held else "You hold none now."
    raise NoSuchGrantOfYours(
        f"No grant of yours is called {wanted[:80]!r} here. {said} Ask at {settings.BASE_URL}/."
    )


def _open(
    *, grant: Grant, caller: Caller, gateway: GatewayProcess, host: str, record: str
) -> Admission:
    with transaction.atomic():
        # The grant is locked, so that none is admitted beside a revocation that has begun.
        grant = elevation.lock_grant(grant.pk)
        asked = time.monotonic()
        now = db.now()
        if over := why_over(grant, now):
            raise NotAdmitted(over)
        session = AccessSession(
            grant=grant,
            user=grant.user,
            role=grant.role,
            target=grant.target,
            gateway=gateway,
            kind=grant.target.kind,
            door=caller.door.value,
            proof=caller.proof.value,
            login=_login(grant)[:100],
            host=(host or _first_host(grant))[:200],
            client=caller.client[:200].replace("\0", ""),
            source_address=caller.source_address[:60],
            record=record,
            opened_at=now,
        )
        session.save(force_insert=True)
        audit.created(
            row=session,
            machine=SESSION,
            actor=caller.actor,
            now=now,
            body={
                "door": session.door,
                "proof": session.proof,
                "source_address": session.source_address,
                "client": session.client,
                "login_name": caller.login_name[:100].replace("\0", ""),
                "host": session.host,
                "record": record,
                "gateway": gateway.name,
            },
        )
    return Admission(
        session_id=session.pk,
        grant_id=grant.pk,
        external_name=grant.external_name,
        username=grant.user.username,
        role=grant.role.slug,
        target=grant.target.slug,
        target_config=grant.target.config,
        role_config=grant.role.config,
        ends_at=queries.earliest_end(grant),
        over_at=asked + (queries.earliest_end(grant) - now).total_seconds(),
        record=record,
        ticket=grant.request.ticket_key,
        justification=grant.request.justification,
    )


def _login(grant: Grant) -> str:
    return str(grant.role.config.get("login") or grant.target.config.get("login") or "")


def _first_host(grant: Grant) -> str:
    hosts: list[dict[str, str]] = grant.target.config.get("hosts") or []
    return hosts[0].get("name", "") if hosts else str(grant.target.config.get("host", ""))


def _refused(grant: Grant, caller: Caller, why: str) -> None:
    with transaction.atomic():
        audit.record(
            action="session.refused",
            actor=caller.actor,
            now=db.now(),
            subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
            body={
                "why": why[:1000],
                "door": caller.door.value,
                "source_address": caller.source_address,
            },
            request_id=grant.request_id,
            grant_id=grant.pk,
        )

"""Hand the credential to the one who asked for the grant, each password shown once."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.db import transaction

from jit.audit import operations as audit
from jit.catalog import facts as catalog_facts
from jit.connectors import registry
from jit.connectors.base import ConnectorError
from jit.elevation import operations as elevation
from jit.elevation import provisioning, queries
from jit.elevation.models import Grant
from jit.elevation.states import GRANT, GrantState
from jit.identity.models import User
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict, DomainError, NotAllowed
from jit.policy import queries as policy
from jit.workflow import ask_again, hints, late
from jit.workflow.activate import LEASE
from jit.workflow.ports import sessions


class NotYourCredential(NotAllowed):
    """A credential is handed to the requester alone, never to owners or operators."""


class CredentialNotActive(Conflict):
    """There is a credential only while the grant is ACTIVE."""


class CredentialBusy(Conflict):
    """Another call works on this grant right now."""


class OnlyThroughGateway(Conflict):
    """What is done with the grant must be recorded, and no gateway is there to record it."""


class NoCredentialNow(NotAllowed):
    """What allowed the grant holds no more, or nobody knows now; the detail says what."""


class TargetUnavailable(DomainError):
    """The target does not answer, so no new password could be set."""

    status = 503


def show(*, grant_id: UUID, user: User, actor: Actor) -> dict[str, Any]:
    """Return the credential: for the gateway where one serves such targets, else for the
    target itself. The password is wiped here as it is shown; asking again sets a new one,
    and the one shown before stops working for new connections. Whatever allowed the grant is
    asked again each time, as before a session: a direct credential passes no gateway that would.

    Not inside a transaction. Raises NotYourCredential, CredentialNotActive, NoCredentialNow,
    CredentialBusy, OnlyThroughGateway, TargetUnavailable.
    """
    grant = queries.grants().get(pk=grant_id)
    _check(grant, user, db.now())
    require_usable(grant=grant, actor=actor)
    with transaction.atomic():
        grant = queries.lock_grant(grant_id)
        now = db.now()
        _check(grant, user, now)
        offered = sessions().offer(grant=grant, now=now)
        if offered is not None:
            _shown(grant, renewed=grant.credential_shown_at is not None, actor=actor, gateway=True)
            return offered
        if why := _why_not_direct(grant, now):
            raise OnlyThroughGateway(
                f"{why}, and no gateway for {grant.target.kind} targets is running. Ask your "
                "operators to start one."
            )
        if grant.credential is not None:
            credential = provisioning.open_credential(grant)
            _shown(grant, renewed=False, actor=actor, gateway=False)
            return credential
        if grant.lease_until is not None and grant.lease_until > now:
            raise CredentialBusy("The credential is being renewed; try again in a second.")
        elevation.take_lease(grant=grant, until=now + LEASE)
    try:
        issued = provisioning.provision(grant=grant, now=now)
    except ConnectorError as failure:
        elevation.drop_lease(grant=grant)
        grant.refresh_from_db(fields=["state", "ends_at"])
        _check(grant, user, db.now())  # a target refuses what was taken back meanwhile
        raise TargetUnavailable(
            f"{grant.target.slug} did not set a new password: {failure}. Try again."
        ) from failure
    with transaction.atomic():
        fresh = queries.lock_grant(grant_id)
        if fresh.state == GrantState.ACTIVE:
            elevation.drop_lease(grant=grant)
            _shown(fresh, renewed=True, actor=actor, gateway=False)
            return dict(issued.credential)
    late.undo(grant=grant)
    raise CredentialNotActive(f"This grant is {fresh.state} by now.")


def require_usable(*, grant: Grant, actor: Actor) -> None:
    """Ask account, catalogue and policy again before something that opens the ACTIVE `grant`
    is handed out (promise 9). Not inside a transaction. Raises NoCredentialNow, on record.
    """
    now = db.now()
    try:
        ask_again.before_use(grant, now)
    except (ask_again.NoLongerEligible, ask_again.NotYet) as no:
        with transaction.atomic():
            audit.record(
                action="grant.credential-refused",
                actor=actor,
                now=now,
                subject=audit.subject_of(grant, GRANT),
                body={"why": str(no)[:1000]},
                request_id=grant.request_id,
                grant_id=grant.pk,
            )
        waits = isinstance(no, ask_again.NotYet)
        raise NoCredentialNow(
            f"Nothing that opens {grant.role.slug} is handed out now: "
            + (f"it waits for {no}. Try again in a minute." if waits else str(no))
        ) from no


def _why_not_direct(grant: Grant, now: dt.datetime) -> str:
    """Return why the target's own credential is not for people, or an empty text. The stricter
    of the ruling at submission and the policy in force counts.
    """
    role, target = grant.role, grant.target
    demanded = policy.demanding_a_recorder(
        role=catalog_facts.of_role(role), target=catalog_facts.of_target(target), now=now
    )
    if demanded or record_of(grant) == "required":
        return f"What is done with {role.slug} must be recorded"
    if registry.way_round(target.kind, target.config, role.config) is None:
        return f"{role.slug} is used through a gateway alone"
    return ""


def record_of(grant: Grant) -> str:
    """Return what the ruling demands of the recorder: required, best_effort or none."""
    owed: dict[str, Any] = grant.request.ruling.get("obligations", {})
    return str(owed.get("record", "best_effort"))


def _check(grant: Grant, user: User, now: dt.datetime) -> None:
    if grant.user_id != user.pk:
        raise NotYourCredential("A credential is shown to the person who asked for the grant only.")
    if grant.state != GrantState.ACTIVE or grant.ends_at is None or grant.ends_at <= now:
        raise CredentialNotActive(
            f"This grant is {grant.state}: there is a credential only while it is ACTIVE."
        )


def _shown(grant: Grant, *, renewed: bool, actor: Actor, gateway: bool) -> None:
    now = db.now()
    gone = {} if gateway else {"credential": None}
    Grant.objects.filter(pk=grant.pk).update(credential_shown_at=now, **gone)
    audit.record(
        action="grant.credential-shown",
        actor=actor,
        now=now,
        subject=audit.Subject(type="grant", id=str(grant.pk), label=str(grant)),
        body={"renewed": renewed, "through": "gateway" if gateway else "target"},
        request_id=grant.request_id,
        grant_id=grant.pk,
    )
    hints.about_request(grant.request_id, people=[grant.user_id])

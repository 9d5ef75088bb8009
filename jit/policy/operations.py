"""Rule on facts; propose, activate and watch the bundle that rules."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from jit.audit import operations as audit
from jit.identity import permissions
from jit.identity import queries as identity
from jit.identity.models import User
from jit.identity.permissions import Permission
from jit.kernel import clock, db
from jit.kernel.actor import Actor, Channel
from jit.kernel.errors import Conflict, DomainError, NotAllowed
from jit.policy import compiled, engine, lint, queries
from jit.policy.facts import Facts
from jit.policy.models import PolicyActivation, PolicyBundle
from jit.policy.ruling import Outcome, Ruling

log = logging.getLogger(__name__)

_LOCK = "policy.activation"


class PolicyRefused(DomainError):
    """The candidate has errors; `extra["problems"]` lists each with file, line and field."""


class SelfActivation(NotAllowed):
    """Who proposed a policy does not put it in force: a second person does."""


class NotProposedAnew(Conflict):
    """A bundle that was in force before goes back in force by two people, as any other."""


class AlreadyInForce(Conflict):
    """The bundle is the one in force."""


class AlreadyInstalled(Conflict):
    """A policy was activated before, so that the next one takes two people."""


def rule(facts: Facts, now: dt.datetime) -> Ruling:
    """Return what the policy in force says of the facts.

    Never raises for a policy that is missing, altered or broken: that is the outcome
    `error`, which denies. A failing database raises as ever.
    """
    try:
        bundle = queries.active_bundle()
    except (DomainError, ValueError) as error:
        log.exception("the policy in force can't be used")
        return Ruling(
            outcome=Outcome.ERROR,
            errors=(str(error)[:1000],),
            facts_digest=facts.digest,
            ruled_at=clock.rfc3339(now),
            facts=facts.as_json(),
        )
    ruling = engine.rule(bundle=bundle, facts=facts, now=now)
    if ruling.outcome is Outcome.ERROR:
        log.error(
            "policy bundle %s could not be evaluated: %s",
            bundle.digest[:12],
            "; ".join(ruling.errors),
        )
    return ruling


def record_shadow(
    *, ruling: Ruling, subject: audit.Subject, actor: Actor, now: dt.datetime, **links: Any
) -> None:
    """Write down, in the current transaction, that a shadowed policy would have ruled
    otherwise; nothing where it would not. `links` are those of `audit.record`.
    """
    if ruling.shadow is None:
        return
    audit.record(
        action="policy.shadow-differs",
        actor=actor,
        now=now,
        subject=subject,
        body={
            "bundle_digest": ruling.bundle_digest,
            "outcome": ruling.outcome.value,
            "rule": ruling.rule,
            "shadow": ruling.as_json()["shadow"],
        },
        **links,
    )


def propose(
    *, files: Mapping[str, str], actor: Actor, user: User, now: dt.datetime, comment: str = ""
) -> PolicyBundle:
    """Store a candidate that compiles, passes its tests and lints without an error.

    The same files are the same bundle: proposing them again returns it, with its first
    proposer; one that was in force and was replaced since is proposed anew, by `user`. Raises
    NotAllowed without `policy:propose`, and PolicyRefused.
    """
    require(user, Permission.POLICY_PROPOSE)
    bundle = _checked(files)
    with transaction.atomic():
        db.lock_until_commit(_LOCK)
        return _store(bundle, files, user=user, actor=actor, now=now, comment=comment)


def activate(
    *, bundle: PolicyBundle, user: User, actor: Actor, now: dt.datetime, comment: str = ""
) -> PolicyActivation:
    """Put a proposed bundle in force; an older one that was proposed anew, to roll back.

    It is checked again: people and groups may have changed since it was proposed. Raises
    NotAllowed without `policy:activate`, SelfActivation for the person who proposed it (under
    any of their accounts), NotProposedAnew, AlreadyInForce, and PolicyRefused.
    """
    require(user, Permission.POLICY_ACTIVATE)
    _checked(bundle.files)
    with transaction.atomic():
        db.lock_until_commit(_LOCK)
        bundle = queries.bundle_by_digest(bundle.digest)  # who proposed it last, under the lock
        if queries.was_replaced(bundle):
            raise NotProposedAnew(
                f"Bundle {bundle} was in force before and was replaced. To put it back, one "
                "person proposes it again and another puts it in force."
            )
        if bundle.proposed_by is not None and identity.same_person(bundle.proposed_by, user):
            raise SelfActivation(
                f"{bundle.proposed_by} proposed bundle {bundle}, so that somebody else must "
                "activate it: ask a colleague who may."
            )
        return _activate(bundle, user=user, actor=actor, now=now, comment=comment)


def install_first(*, files: Mapping[str, str], actor: Actor, now: dt.datetime) -> PolicyActivation:
    """Put the first bundle of an empty installation in force, without a second person.

    Only the clock or the command line may, and only once: afterwards there is a policy and
    changing it takes two people. Raises NotAllowed, AlreadyInstalled and PolicyRefused.
    """
    if actor.channel not in {Channel.CLI, Channel.SCHEDULE}:
        raise NotAllowed("The first policy is installed from the command line.")
    bundle = _checked(files)
    with transaction.atomic():
        db.lock_until_commit(_LOCK)
        if queries.active() is not None:
            raise AlreadyInstalled("A policy is in force already; propose and activate another.")
        row = _store(bundle, files, user=None, actor=actor, now=now, comment="the first policy")
        return _activate(row, user=None, actor=actor, now=now, comment="the first policy")


def watch_drift(*, actor: Actor, now: dt.datetime) -> queries.Drift | None:
    """Compare the files on disk with the bundle in force; ring once for each new difference."""
    drift = queries.drift()
    with transaction.atomic():
        db.lock_until_commit(_LOCK)
        activation = queries.active()
        if activation is None:
            return drift
        seen = _seen(drift)
        if activation.drifted_to == seen:
            return drift
        activation.drifted_to = seen
        activation.save(update_fields=["drifted_to"])
        if drift is not None:
            log.error("the policy files on disk are not the ones in force: %s", drift)
            _record("policy.drift", activation.bundle, actor, now, {"difference": str(drift)})
    return drift


def _seen(drift: queries.Drift | None) -> str:
    if drift is None:
        return ""
    return drift.disk_digest or "unreadable"


def require(user: User, permission: Permission) -> None:
    """Raise NotAllowed unless `user` has the permission."""
    if not permissions.has(user, permission):
        raise NotAllowed(f"{user} may not do this: it takes the permission {permission.value}.")


def _checked(files: Mapping[str, str]) -> compiled.Bundle:
    report = lint.check(files, queries.directory())
    if report.errors or report.bundle is None:
        raise PolicyRefused(
            f"The policy has {len(report.errors)} error(s), the first: {report.errors[0]}",
            extra={"problems": [str(problem) for problem in report.errors]},
        )
    return report.bundle


def _store(
    bundle: compiled.Bundle,
    files: Mapping[str, str],
    *,
    user: User | None,
    actor: Actor,
    now: dt.datetime,
    comment: str,
) -> PolicyBundle:
    row, is_new = PolicyBundle.objects.get_or_create(
        digest=bundle.digest,
        defaults={
            "files": compiled.canonical(files),
            "proposed_by": user,
            "proposed_at": now,
            "comment": comment,
        },
    )
    anew = not is_new and queries.was_replaced(row)
    if anew:
        row.proposed_by, row.proposed_at, row.comment = user, now, comment
        row.save(update_fields=["proposed_by", "proposed_at", "comment"])
    if is_new or anew:
        body = {"files": sorted(files), "comment": comment, "anew": anew}
        _record("policy.proposed", row, actor, now, body)
    return row


def _activate(
    row: PolicyBundle, *, user: User | None, actor: Actor, now: dt.datetime, comment: str
) -> PolicyActivation:
    before = queries.active()
    if before is not None and before.bundle_id == row.pk:
        raise AlreadyInForce(f"Bundle {row} is the one in force.")
    activation = PolicyActivation.objects.create(
        bundle=row, activated_by=user, activated_at=now, comment=comment
    )
    replaces = before.bundle.digest if before else None
    body = {
        "replaces": replaces,
        "proposed_by": row.proposed_by.username if row.proposed_by else None,
        "comment": comment,
    }
    _record("policy.activated", row, actor, now, body)
    return activation


def _record(
    action: str, row: PolicyBundle, actor: Actor, now: dt.datetime, body: Mapping[str, Any]
) -> None:
    audit.record(
        action=action,
        actor=actor,
        now=now,
        subject=audit.Subject(type="policy", id=row.digest, label=str(row)),
        body={"digest": row.digest, **body},
    )

"""What is read of policies: the bundle in force, its history, drift, and who may ask for what."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from jit.identity import queries as identity
from jit.kernel.errors import DomainError, NotFound
from jit.policy import compiled, eligibility, facts, files
from jit.policy.compiled import Bundle
from jit.policy.compiler import compile_bundle, step_spec
from jit.policy.eligibility import Eligibility, RoleIndex
from jit.policy.index import bits
from jit.policy.lint import Directory
from jit.policy.models import PolicyActivation, PolicyBundle

_KEPT = 8
"""Compiled bundles kept in memory; a digest never comes to mean other files."""
_lock = threading.Lock()
_compiled: OrderedDict[str, Bundle] = OrderedDict()
_indexes: dict[str, tuple[list[dict[str, Any]], RoleIndex]] = {}


class UnknownBundle(NotFound):
    """No bundle has this digest, or several begin with it."""


class NoPolicyInForce(DomainError):
    """Nothing was ever activated, so that nothing may be asked for."""

    status = 503


class BundleAltered(DomainError):
    """The stored files are not those that the digest was made of: they are not used."""

    status = 503


def active() -> PolicyActivation | None:
    """Return the activation in force, with its bundle, or None before the first."""
    return PolicyActivation.objects.select_related("bundle").first()


def active_digest() -> str | None:
    """Return the digest in force, read from the database each time."""
    return PolicyActivation.objects.values_list("bundle__digest", flat=True).first()


def active_bundle() -> Bundle:
    """Return the compiled bundle in force; one statement when it was used before.

    Raises NoPolicyInForce, BundleAltered, and PolicyNotCompiled for a bundle that a newer
    engine no longer accepts.
    """
    digest = active_digest()
    if digest is None:
        raise NoPolicyInForce("No policy is in force; activate one with `manage.py policy`.")
    return compiled_bundle(digest)


def compiled_bundle(digest: str) -> Bundle:
    """Return the compiled bundle of this digest. Raises as `active_bundle`."""
    with _lock:
        known = _compiled.get(digest)
        if known is not None:
            _compiled.move_to_end(digest)
            return known
    stored = PolicyBundle.objects.get(digest=digest).files
    if compiled.digest(stored) != digest:
        raise BundleAltered(f"The stored files of bundle {digest[:12]} were altered.")
    bundle = compile_bundle(stored)
    with _lock:
        _compiled[digest] = bundle
        while len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    return bundle


def bundles() -> QuerySet[PolicyBundle]:
    """Return all bundles, the newest first."""
    return PolicyBundle.objects.select_related("proposed_by")


def history() -> QuerySet[PolicyActivation]:
    """Return all activations, the newest first."""
    return PolicyActivation.objects.select_related("bundle__proposed_by", "activated_by")


def was_replaced(bundle: PolicyBundle) -> bool:
    """Return whether the bundle was put in force since it was last proposed, and is no more:
    what two people agreed to then is used up.
    """
    used = PolicyActivation.objects.filter(bundle=bundle, activated_at__gte=bundle.proposed_at)
    return active_digest() != bundle.digest and used.exists()


def bundle_by_digest(prefix: str) -> PolicyBundle:
    """Return the bundle whose digest begins with `prefix` (8 characters or more).

    Raises UnknownBundle for none and for several.
    """
    is_hex = re.fullmatch(r"[0-9a-f]{8,64}", prefix) is not None  # 8 at least, as git does
    found = list(bundles().filter(digest__startswith=prefix)[:2]) if is_hex else []
    if len(found) != 1:
        raise UnknownBundle(
            f"No single bundle begins with {prefix[:64]!r}; give 8 characters or more of a digest "
            "that `manage.py policy show` lists."
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Drift:
    """How the files on disk differ from the bundle in force."""

    active_digest: str | None
    disk_digest: str | None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unreadable: str = ""

    def __str__(self) -> str:
        parts = [
            f"{verb} {', '.join(names)}"
            for verb, names in (
                ("added", self.added), ("removed", self.removed), ("changed", self.changed)
            )
            if names
        ]  # fmt: skip
        return self.unreadable or "; ".join(parts)


def drift(folder: Path | None = None) -> Drift | None:
    """Return how the files in `folder` (`settings.POLICY_DIR`) differ from the bundle in
    force, or None when they are the same. An unreadable folder is a drift.
    """
    activation = active()
    ours = compiled.canonical(activation.bundle.files) if activation else {}
    digest = activation.bundle.digest if activation else None
    try:
        theirs = compiled.canonical(files.read_folder(folder or settings.POLICY_DIR))
    except (files.NoPolicyFiles, OSError) as error:
        return Drift(active_digest=digest, disk_digest=None, unreadable=str(error))
    disk = compiled.digest(theirs)
    if disk == digest:
        return None
    return Drift(
        active_digest=digest,
        disk_digest=disk,
        added=tuple(sorted(theirs.keys() - ours.keys())),
        removed=tuple(sorted(ours.keys() - theirs.keys())),
        changed=tuple(n for n in sorted(ours.keys() & theirs.keys()) if ours[n] != theirs[n]),
    )


def directory() -> Directory:
    """Return what the linter may know of people: counted from the accounts."""
    return Directory(
        people=functools.cache(_people),
        groups=frozenset(identity.groups().values_list("slug", flat=True)),
    )


def _people(expression: str) -> int | None:
    kind, _, name = expression.partition(":")
    if kind == "group":
        return identity.members_of(name).count()
    if kind == "user":
        user = identity.user_by_username(name)
        return int(user is not None and user.is_active)
    return None


def eligible_roles(
    *, user: Mapping[str, Any], roles: Sequence[Mapping[str, Any]], now: dt.datetime
) -> dict[str, Eligibility]:
    """Return, by role slug, whether this person may ask for each role, by `match`, `who` and
    the guardrails that read neither ticket nor request.

    `user` is what `facts.build` takes; each of `roles` is `{"role": …, "target": …}` of the
    same. The roles are indexed once and again when one of them or the policy changes.
    Nobody is eligible for anything while no policy is in force. Raises as `active_bundle`.
    """
    try:
        bundle = active_bundle()
    except NoPolicyInForce as error:
        refused = Eligibility(eligible=False, message=error.detail)
        return {str(each["role"]["slug"]): refused for each in roles}
    index = _index(bundle, roles, now)
    asked = facts.build(user=user, role={}, ticket=None, request={"change_freeze": False}, now=now)
    return eligibility.eligible(index=index, facts=asked)


def demanding_a_recorder(
    *,
    role: Mapping[str, Any],
    target: Mapping[str, Any],
    now: dt.datetime,
    bundle: Bundle | None = None,
) -> list[str]:
    """Return the ids of the enforced rules that could give this role and say
    `record: required`, whatever else they ask for; of `bundle`, or of the one in force.

    `role` and `target` are what `facts.build` takes. Raises as `active_bundle`, but with no
    policy in force there is no such rule.
    """
    try:
        policy = (bundle or active_bundle()).enforced
    except NoPolicyInForce:
        return []
    known = facts.build(user={}, role=role, target=target, ticket=None, request={}, now=now)
    fitting = policy.rule_selector.select(eligibility.role_facts(known))
    found = [policy.rules[position] for position in bits(fitting)]
    return [rule.id for rule in found if rule.frame.grant.record == "required"]


def approvers_of(
    *, role: Mapping[str, Any], target: Mapping[str, Any], now: dt.datetime
) -> frozenset[str]:
    """Return every approver expression, in the policy's own words, that a chain for this role
    may ask by the policy in force: at once, by escalation, or instead of nobody.

    `role` and `target` are what `facts.build` takes. Raises as `active_bundle`.
    """
    enforced = active_bundle().enforced
    known = facts.build(user={}, role=role, target=target, ticket=None, request={}, now=now)
    fitting = enforced.rule_selector.select(eligibility.role_facts(known))
    steps = []
    for rule in (enforced.rules[position] for position in bits(fitting)):
        steps += [step for branch in rule.branches for step in branch.chain]
        if rule.frame.grant.on_ticket_unreachable == "extra_step":
            steps.append(step_spec(rule.frame.grant.extra_step))
    return frozenset(
        word for step in steps for word in (*step.any_of, *step.escalate_to, *step.fallback)
    )


def _index(bundle: Bundle, roles: Sequence[Mapping[str, Any]], now: dt.datetime) -> RoleIndex:
    """Return the index of these roles; comparing them costs a fraction of indexing them."""
    with _lock:
        known = _indexes.get(bundle.digest)
    if known is not None and known[0] == roles:
        return known[1]
    values = [
        eligibility.role_facts(
            facts.build(
                user={},
                role=each["role"],
                target=each.get("target"),
                ticket=None,
                request={},
                now=now,
            )
        )
        for each in roles
    ]
    index = eligibility.index_roles(policy=bundle.enforced, roles=values)
    with _lock:
        _indexes.clear()
        _indexes[bundle.digest] = (copy.deepcopy([dict(each) for each in roles]), index)
    return index

"""Writes to the catalogue: one change of a target or role, its audit event, and its health."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.db import transaction

from jit.audit import operations as audit
from jit.audit.operations import Links, Subject
from jit.catalog import queries
from jit.catalog.models import Role, Target
from jit.connectors import registry
from jit.identity import queries as identity
from jit.kernel import db
from jit.kernel.actor import Actor
from jit.kernel.errors import Conflict

TARGET_FIELDS = ("name", "kind", "env", "team", "config", "enabled")
ROLE_FIELDS = (
    "target",
    "name",
    "description",
    "risk",
    "owner",
    "max_duration",
    "config",
    "tags",
    "enabled",
)
LONGEST_DETAIL = 1000

type Kind = Literal["target", "role"]
type Verb = Literal["create", "change", "retire"]
_DONE: Mapping[Verb, str] = {"create": "created", "change": "changed", "retire": "retired"}


class CatalogRefused(Conflict):
    """A change would take away what live grants rest on; the detail says what to do first."""


class CatalogMovedMeanwhile(Conflict):
    """The catalogue is no longer what the diff was made against: make it again."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the files and the catalogue. `before` and `after` hold only the
    fields that differ, in the files' words; `refused` says why it can't be applied now.
    """

    kind: Kind
    verb: Verb
    slug: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    refused: str = ""

    @property
    def action(self) -> str:
        return f"catalog.{self.kind}-{_DONE[self.verb]}"


def words_of(row: Target | Role) -> dict[str, Any]:
    """Return a row in the files' words."""
    if isinstance(row, Target):
        return {name: getattr(row, name) for name in TARGET_FIELDS}
    return {
        "target": row.target.slug,
        "name": row.name,
        "description": row.description,
        "risk": row.risk,
        "owner": row.owner_group.slug,
        "max_duration": row.max_duration_seconds,
        "config": row.config,
        "tags": row.tags,
        "enabled": row.enabled,
    }


def why_not(row: Target | Role, change: Change) -> str:
    """Return what stands against changing or retiring this row now, or an empty text.

    What a live grant needs for its end (where the target is, and what was given there) stays
    until the grant is proven gone: revoking at another address would prove nothing.
    """
    needed = set(change.before)
    if isinstance(row, Target):
        needed &= {"kind", "config", "enabled"}
        if needed == {"config"} and _only_harmless(row.kind, change):
            return ""
    else:
        needed &= {"target", "config", "enabled"}
    if change.after.get("enabled"):
        needed.discard("enabled")
    if not needed or not queries.is_in_use(row):
        return ""
    return (
        f"{change.kind} {change.slug} has live grants, and they need its "
        f"{', '.join(sorted(needed))} to be revoked by. Revoke them (Grants, filtered by this "
        f"{change.kind}) or wait for their end, then apply again."
    )


def _only_harmless(kind: str, change: Change) -> bool:
    """Return whether only such keys of a target's config differ as its connector calls safe."""
    was, will = change.before["config"], change.after["config"]
    differing = {key for key in {*was, *will} if was.get(key) != will.get(key)}
    return differing <= registry.class_for(kind).changeable_while_live


def _locked(change: Change) -> Target | Role | None:
    rows: Any = Target.objects if change.kind == "target" else queries.roles()
    row: Target | Role | None = (
        rows.select_for_update(of=("self",)).filter(slug=change.slug).first()
    )
    now_there = {} if row is None else words_of(row)
    same = {name: now_there.get(name) for name in change.before} == dict(change.before)
    if (row is None) != (change.verb == "create") or not same:
        raise CatalogMovedMeanwhile(
            f"{change.kind} {change.slug} was changed by somebody else meanwhile. "
            "Look at the new difference, and apply that."
        )
    return row


def _filled(row: Target | Role, words: Mapping[str, Any]) -> None:
    for name, value in words.items():
        if isinstance(row, Role) and name == "target":
            row.target = Target.objects.get(slug=value)
        elif isinstance(row, Role) and name == "owner":
            group = identity.group_by_slug(value)
            if group is None:
                raise CatalogMovedMeanwhile(f"There is no group {value} any more.")
            row.owner_group = group
        elif name == "max_duration":
            row.max_duration_seconds = value  # type: ignore[union-attr] # only roles have this word
        else:
            setattr(row, name, value)


def make(*, change: Change, actor: Actor, now: dt.datetime) -> None:
    """Write one change and its event, in the caller's transaction.

    Raises CatalogRefused and CatalogMovedMeanwhile.
    """
    row = _locked(change)
    if row is None:
        row = Target(slug=change.slug) if change.kind == "target" else Role(slug=change.slug)
    elif refused := why_not(row, change):
        raise CatalogRefused(refused)
    _filled(row, change.after)
    row.save()
    links = Links(target=row.slug) if isinstance(row, Target) else Links(role=row.slug)
    audit.record(
        action=change.action,
        actor=actor,
        now=now,
        subject=Subject(type=change.kind, id=str(row.pk), label=row.slug),
        body={"before": dict(change.before), "after": dict(change.after)},
        links=links,
    )


@transaction.atomic
def apply(*, changes: list[Change], actor: Actor, now: dt.datetime) -> None:
    """Write all the changes, or none. Raises CatalogRefused and CatalogMovedMeanwhile."""
    db.lock_until_commit("catalog")
    if refused := [change.refused for change in changes if change.refused]:
        raise CatalogRefused(" ".join(refused))
    for change in changes:
        make(change=change, actor=actor, now=now)
    if changes:
        audit.record(
            action="catalog.synced",
            actor=actor,
            now=now,
            subject=Subject(type="catalog", id="catalog", label="catalogue"),
            body={"changes": [f"{each.verb} {each.kind} {each.slug}" for each in changes]},
        )


@transaction.atomic
def store_health(
    *, target: Target, health: Mapping[str, Any], actor: Actor, now: dt.datetime
) -> None:
    """Keep the connector's last answer; going between ok and not ok is an audit event."""
    row = Target.objects.select_for_update().get(pk=target.pk)
    was, is_now = row.health.get("ok"), bool(health["ok"])
    row.health, row.health_at = dict(health), now
    row.save(update_fields=["health", "health_at"])
    if was is None and is_now:
        return
    if was is not is_now:
        audit.record(
            action="target.health-changed",
            actor=actor,
            now=now,
            subject=Subject(type="target", id=str(row.pk), label=row.slug),
            body={"ok": is_now, "detail": str(health.get("detail", ""))[:LONGEST_DETAIL]},
            links=Links(target=row.slug),
        )

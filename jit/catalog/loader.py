"""The catalogue from YAML files: read and checked as a whole, diffed, and only then applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jit.catalog import operations, queries, recorded, sealed_store
from jit.catalog.entries import CatalogFile, CatalogInvalid, RoleEntry, TargetEntry, files_in, plain
from jit.catalog.models import Role, Target
from jit.catalog.operations import Change, Kind
from jit.connectors import registry
from jit.connectors.base import InvalidConfig
from jit.identity import queries as identity
from jit.kernel import clock
from jit.policy.compiled import Bundle

type Entries = tuple[dict[str, TargetEntry], dict[str, RoleEntry]]


class _Problems:
    """Everything that is wrong, by place, so that one run shows it all."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, where: str, what: str) -> None:
        self.found.setdefault(where, []).append(what)

    def refuse(self) -> None:
        if self.found:
            told = "; ".join(f"{where}: {' '.join(what)}" for where, what in self.found.items())
            raise CatalogInvalid(told, fields=self.found)


def read(paths: list[Path]) -> Entries:
    """Return the targets and roles that the files describe, by slug, checked with their
    connectors. Asks no target. Raises CatalogInvalid with everything that is wrong.
    """
    problems = _Problems()
    targets: dict[str, TargetEntry] = {}
    roles: dict[str, RoleEntry] = {}
    for path in files_in(paths):
        try:
            content = CatalogFile.model_validate(plain(path))
        except ValidationError as invalid:
            for error in invalid.errors(include_input=False, include_url=False):
                where = ".".join(str(part) for part in error["loc"])
                problems.add(f"{path}: {where}" if where else str(path), error["msg"])
            continue
        for target in content.targets:
            if target.slug in targets:
                problems.add(f"target {target.slug}", f"is described twice, again in {path}")
            targets[target.slug] = target
        for role in content.roles:
            if role.slug in roles:
                problems.add(f"role {role.slug}", f"is described twice, again in {path}")
            roles[role.slug] = role
    problems.refuse()
    _check_together(targets, roles, problems)
    problems.refuse()
    return targets, roles


def _check_together(
    targets: Mapping[str, TargetEntry], roles: Mapping[str, RoleEntry], problems: _Problems
) -> None:
    groups = set(identity.groups().values_list("slug", flat=True))
    for target in targets.values():
        where = f"target {target.slug}"
        _check_config(where, target, (), problems)
        if where not in problems.found:
            _check_secrets(where, target, problems)
    given: list[tuple[str, TargetEntry, RoleEntry]] = []
    for role in roles.values():
        where = f"role {role.slug}"
        if role.owner not in groups:
            problems.add(where, f"its owner, group {role.owner}, does not exist: create it first")
        if role.target not in targets:
            problems.add(where, f"its target {role.target} is in none of the files")
        elif f"target {role.target}" not in problems.found:
            _check_config(where, targets[role.target], (role.config,), problems)
            if where not in problems.found and role.enabled:
                given.append((where, targets[role.target], role))
    if given and (bundle := recorded.in_force()) is not None:
        for where, target, role in given:
            _check_recording(where, target, role, bundle, problems)


def _check_config(
    where: str, target: TargetEntry, roles: Iterable[dict[str, Any]], problems: _Problems
) -> None:
    try:
        registry.check(target.kind, target.config, *roles)
    except InvalidConfig as invalid:
        problems.add(where, f"its config: {invalid.detail}")


def _check_secrets(where: str, target: TargetEntry, problems: _Problems) -> None:
    for name in registry.sealed_secrets(target.kind, target.config):
        if not sealed_store.secrets().filter(name=name).exists():
            problems.add(
                where,
                f"its config: the sealed store has no secret {name}; set it first, with "
                f"`manage.py secret_set {name}`",
            )


def _check_recording(
    where: str, target: TargetEntry, role: RoleEntry, bundle: Bundle, problems: _Problems
) -> None:
    facts = role.model_dump(include={"slug", "name", "risk", "tags", "max_duration"})
    found = recorded.way_round(
        role={**facts, "owner_group": role.owner},
        target=target.model_dump(include={"slug", "name", "kind", "env", "team"}),
        target_config=target.config,
        role_config=role.config,
        now=clock.now(),
        bundle=bundle,
    )
    if found:
        problems.add(where, found)


def _words(entry: TargetEntry | RoleEntry) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude={"slug"})


def _difference(kind: Kind, slug: str, row: Target | Role | None, wanted: dict[str, Any]) -> Change:
    """Return the change that makes `row` what is wanted; one without `after` is none."""
    if row is None:
        return Change(kind=kind, verb="create", slug=slug, after=wanted)
    there = operations.words_of(row)
    differing = [name for name in wanted if there[name] != wanted[name]]
    retires = differing == ["enabled"] and not wanted["enabled"]
    return _judged(
        row,
        Change(
            kind=kind,
            verb="retire" if retires else "change",
            slug=slug,
            before={name: there[name] for name in differing},
            after={name: wanted[name] for name in differing},
        ),
    )


def _judged(row: Target | Role, change: Change) -> Change:
    return Change(
        kind=change.kind,
        verb=change.verb,
        slug=change.slug,
        before=change.before,
        after=change.after,
        refused=operations.why_not(row, change),
    )


def _compare(
    kind: Kind,
    rows: Mapping[str, Target | Role],
    entries: Mapping[str, TargetEntry | RoleEntry],
    *,
    partial: bool,
) -> list[Change]:
    wanted = {slug: _words(entry) for slug, entry in entries.items()}
    if not partial:
        wanted |= {slug: {"enabled": False} for slug in rows if slug not in wanted}
    changes = [_difference(kind, slug, rows.get(slug), words) for slug, words in wanted.items()]
    return sorted((each for each in changes if each.after), key=lambda each: each.slug)


def diff(paths: list[Path], *, partial: bool = False) -> list[Change]:
    """Return what would change if the files became the catalogue, in the order to apply it.

    The files are the whole catalogue: what stands in none of them is retired, unless
    `partial`. Nothing is ever deleted, since history points at it. Raises CatalogInvalid.
    """
    targets, roles = read(paths)
    known_targets = {row.slug: row for row in Target.objects.all()}
    known_roles = {row.slug: row for row in queries.roles()}
    of_targets = _compare("target", known_targets, targets, partial=partial)
    of_roles = _compare("role", known_roles, roles, partial=partial)
    return [
        *(change for change in of_targets if change.verb != "retire"),
        *(change for change in of_roles if change.verb != "retire"),
        *(change for change in of_roles if change.verb == "retire"),
        *(change for change in of_targets if change.verb == "retire"),
    ]


def told(changes: Iterable[Change]) -> str:
    """Return the changes for a person to read, one block each."""
    lines: list[str] = []
    signs = {"create": "+", "change": "~", "retire": "-"}
    for change in changes:
        lines.append(f"{signs[change.verb]} {change.verb} {change.kind} {change.slug}")
        for name, value in change.after.items():
            if change.verb == "change":
                lines.append(f"    {name}: {change.before[name]!r} → {value!r}")
            elif change.verb == "create":
                lines.append(f"    {name}: {value!r}")
        if change.refused:
            lines.append(f"  ! refused: {change.refused}")
    return "\n".join(lines) or "The catalogue is as the files say."


apply = operations.apply

"""A role and its target as policy reads them."""

from __future__ import annotations

from typing import Any

from jit.catalog.models import Role, Target


def of_role(role: Role) -> dict[str, Any]:
    return {
        "slug": role.slug,
        "name": role.name,
        "risk": role.risk,
        "owner_group": role.owner_group.slug,
        "tags": role.tags,
        "max_duration": role.max_duration_seconds,
    }


def of_target(target: Target) -> dict[str, Any]:
    return {
        "slug": target.slug,
        "name": target.name,
        "kind": target.kind,
        "env": target.env,
        "team": target.team,
    }

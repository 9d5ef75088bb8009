"""Roles that policy wants recorded, and that could be used round the gateway nevertheless."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from jit.catalog import facts, queries
from jit.connectors import registry
from jit.connectors.base import InvalidConfig
from jit.policy import queries as policy
from jit.policy.compiled import Bundle


def way_round(
    *,
    role: Mapping[str, Any],
    target: Mapping[str, Any],
    target_config: Mapping[str, Any],
    role_config: Mapping[str, Any],
    now: dt.datetime,
    bundle: Bundle | None = None,
) -> str:
    """Return what is wrong with a role that must be recorded and need not go through a gateway,
    and what to do; an empty text where nothing is. By the policy in force, or by `bundle`.

    Raises UnknownConnector, InvalidConfig, and what reading the policy raises.
    """
    rules = policy.demanding_a_recorder(role=role, target=target, now=now, bundle=bundle)
    if not rules:
        return ""
    closing = registry.way_round(target["kind"], target_config, role_config)
    if closing is None:
        return ""
    told = ", ".join(rules)
    return (
        f"policy ({told}) says record: required, but it can be used round the gateway, "
        f"unrecorded; {closing}"
    )


def in_force() -> Bundle | None:
    """Return the policy in force, to be asked of many roles, or None before the first. Raises
    what reading it raises.
    """
    try:
        return policy.active_bundle()
    except policy.NoPolicyInForce:
        return None


def ways_round(*, now: dt.datetime, bundle: Bundle | None = None) -> Iterator[str]:
    """Yield a sentence for each such role that can be asked for now, by name."""
    bundle = bundle or in_force()
    if bundle is None:
        return
    for role in queries.roles().filter(enabled=True, target__enabled=True):
        try:
            found = way_round(
                role=facts.of_role(role),
                target=facts.of_target(role.target),
                target_config=role.target.config,
                role_config=role.config,
                now=now,
                bundle=bundle,
            )
        except InvalidConfig:
            continue  # It can't be given at all.
        if found:
            yield f"Role {role.slug}: {found}."

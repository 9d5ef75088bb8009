"""Which on-call systems this installation asks, and what its policies call their services.

`settings.ONCALL_SERVICES` lists `name=system/service`. The names are what policies, approver
expressions and the roles' `oncall` tags say; whoever owns the role writes them there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from jit.oncall.adapters.base import OnCallSystem

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Service:
    """One name, the adapter that is asked for it, and the adapter's own word for it."""

    name: str
    system: OnCallSystem
    reference: str


def system(name: str) -> OnCallSystem:
    """Return the adapter called `name`, made from its settings.

    Raises ValueError for an unknown one; ImportError or TypeError for settings that can't be
    run with, which `jit.ops.checks` reports at start.
    """
    if name not in settings.ONCALL_SYSTEMS:
        raise ValueError(f"there is no on-call system {name[:40]!r}")
    options = dict(settings.ONCALL_SYSTEMS[name])
    adapter = import_string(options.pop("adapter"))
    return cast("OnCallSystem", adapter(name=name, **options))


def services() -> dict[str, Service]:
    """Return the services by name. Raises ValueError, ImportError or TypeError as `system`."""
    made: dict[str, OnCallSystem] = {}
    found: dict[str, Service] = {}
    for entry in settings.ONCALL_SERVICES:
        name, _, rest = entry.partition("=")
        system_name, _, reference = rest.partition("/")
        name, system_name, reference = name.strip(), system_name.strip(), reference.strip()
        if not _NAME.fullmatch(name) or name in found:
            raise ValueError(f"{entry[:80]!r} must read name=system/service, each name once")
        if system_name not in made:
            made[system_name] = system(system_name)
        made[system_name].check(reference)
        found[name] = Service(name, made[system_name], reference)
    return found
